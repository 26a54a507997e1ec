"""The door of the HistoricalDataLoader: from a Backtest's data block to one checked stream of columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from sigma_bot.data.flow import ContentDigest, digested, merge, prefetch, rechunk
from sigma_bot.data.request import Request, Wanted
from sigma_bot.data.rules import Columns
from sigma_bot.data.streams import Stream, duration
from sigma_bot.errors import BadInputError
from sigma_bot.times import DAY, iso

if TYPE_CHECKING:
    from sigma_bot.data.catalogue_entries import Catalogue
    from sigma_bot.spec import BacktestSpec

TICK_COLUMNS = ("ts", "symbol", "bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
BAR_COLUMNS = ("ts", "end", "symbol", "open", "high", "low", "close", "volume")


class MarketData(Protocol):
    """What the engine is fed with. Times ns UTC; ``timeframe`` is 0 for ticks; ``rows`` is for progress (an
    upper bound where ticks are built from events); ``ends`` says where each symbol's rows end."""

    kind: Literal["tick", "bar"]
    symbols: tuple[str, ...]
    timeframe: int
    rows: int
    start: int
    end: int
    ends: tuple[int, ...]
    has_volume: bool
    warnings: list[str]
    funding: np.ndarray | None

    def chunks(self) -> Iterator[Columns]:
        """Chunks in time order, read ahead by one thread. May be called once."""

    def digest(self) -> str:
        """sha256 of the content of the rows used; complete once ``chunks`` is exhausted."""


class Market:
    """Several symbols' streams as one."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        streams: list[Stream],
        funding: np.ndarray | None,
        warnings: list[str],
        catalogue: Catalogue | None = None,
    ) -> None:
        self.kind, self.timeframe = streams[0].kind, streams[0].timeframe
        self.symbols, self.funding, self.warnings = symbols, funding, warnings
        self.rows = sum(s.rows for s in streams)
        self.start, self.end = min(s.start for s in streams), max(s.end for s in streams)
        self.ends = tuple(s.end for s in streams)
        self.has_volume = any(s.has_volume for s in streams)
        self._streams, self._started, self._complete = streams, False, False
        self._catalogue = catalogue
        self._digest = ContentDigest(f"{self.kind} {self.timeframe} {' '.join(symbols)}")

    def chunks(self) -> Iterator[Columns]:
        """See MarketData."""
        if self._started:
            raise RuntimeError("the chunks of a market can be read once; open it again")
        self._started = True
        merged = merge([s.chunks() for s in self._streams], "end" if self.kind == "bar" else "ts")
        names = BAR_COLUMNS if self.kind == "bar" else TICK_COLUMNS
        ordered = ({n: chunk[n] for n in names} for chunk in rechunk(merged))
        return prefetch(digested(ordered, self._digest, self._done))

    def _done(self) -> None:
        if self._catalogue is not None:
            self._catalogue.close()
        if self.funding is not None:
            self._digest.update({f"funding.{n}": self.funding[n] for n in ("ts", "symbol", "rate")})
        self._complete = True

    def digest(self) -> str:
        """See MarketData."""
        if not self._complete:
            raise RuntimeError("the digest is complete when all chunks have been read")
        return self._digest.hexdigest()


def open_market(spec: BacktestSpec, base: Path) -> MarketData:
    """The data of a Backtest. Raises BadInputError naming the file, the row and what would be right."""
    data, period = spec.data, spec.period
    timeframe = None if data.timeframe is None else data.timeframe.ns
    return open_request(
        Request(
            markets=tuple(Wanted(m.symbol, m.data) for m in spec.markets),
            source=data.source,
            path=data.path,
            kind=data.kind,
            timeframe=timeframe,
            stamps=data.stamps,
            # a zone that nobody wrote must not pass for one that somebody meant
            timezone=data.timezone if "timezone" in data.model_fields_set else None,
            columns=dict(data.columns),
            funding=data.funding,
            start=period.start_ns,
            end=period.end_ns,
            base=base,
        )
    )


def open_request(request: Request) -> Market:
    """``open_market`` on plain values."""
    from sigma_bot.data.catalogue import open_catalogue

    if not request.markets:
        raise BadInputError("markets: there is none; name at least one symbol")
    symbols = tuple(m.symbol for m in request.markets)
    if len(set(symbols)) < len(symbols):
        raise BadInputError(f"markets: a symbol stands twice: {', '.join(symbols)}")
    if request.source != "catalogue":
        return _opened(symbols, request, None)
    catalogue = open_catalogue()
    try:
        return _opened(symbols, request, catalogue)
    except BaseException:
        catalogue.close()
        raise


def _opened(symbols: tuple[str, ...], request: Request, catalogue: Catalogue | None) -> Market:
    from sigma_bot.data.funding import read_funding
    from sigma_bot.data.sources import streams_of

    warnings: list[str] = []
    streams = streams_of(request, catalogue, warnings)
    _alike(symbols, streams)
    for symbol, stream in zip(symbols, streams, strict=True):
        _coverage(symbol, stream, request, warnings)
    if streams[0].kind == "bar" and not any(s.has_volume for s in streams):
        warnings.append(
            "the data have no volume: fills are not limited by it, and indicators of volume stay at zero"
        )
    funding = (
        read_funding(request.resolve(request.funding), symbols, request.timezone) if request.funding else None
    )
    return Market(symbols, streams, funding, list(dict.fromkeys(warnings)), catalogue)


def _alike(symbols: tuple[str, ...], streams: list[Stream]) -> None:
    first = streams[0]
    for symbol, stream in zip(symbols, streams, strict=True):
        if (stream.kind, stream.timeframe) != (first.kind, first.timeframe):
            raise BadInputError(
                f"{symbol} has {_what(stream)} and {symbols[0]} has {_what(first)}; all markets of a run "
                "need the same kind and timeframe"
            )


def _what(stream: Stream) -> str:
    return "ticks" if stream.kind == "tick" else f"{duration(stream.timeframe)} bars"


def _coverage(symbol: str, stream: Stream, request: Request, warnings: list[str]) -> None:
    """Say when the data cover clearly less than the period that was asked for; a few days pass."""
    slack = max(4 * DAY, 3 * stream.timeframe)
    if request.start is not None and stream.start - request.start > slack:
        begin = iso(stream.start)
        warnings.append(f"{symbol}: the data begin at {begin}, after the period's start {iso(request.start)}")
    if request.end is not None and request.end - stream.end > slack:
        warnings.append(
            f"{symbol}: the data end at {iso(stream.end)}, before the period's end {iso(request.end)}"
        )
