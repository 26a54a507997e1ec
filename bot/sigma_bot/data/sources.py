"""Where each symbol's rows come from: a file, a folder, the catalogue, the sample, or the generator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sigma_bot.data import synthetic
from sigma_bot.data.columns import Layout, detect, normalized
from sigma_bot.data.readers import DataFile, ParquetFile, is_data_file, open_file
from sigma_bot.data.request import Request, Wanted
from sigma_bot.data.rules import Columns
from sigma_bot.data.series import Part, Series, in_order, names_in, short
from sigma_bot.data.streams import (
    BarStream,
    EventStream,
    Stream,
    TickStream,
    choose_timeframe,
    duration,
    nothing_inside,
    stamps_of,
    timeframe_of,
)
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.times import MINUTE

if TYPE_CHECKING:
    from sigma_bot.data.catalogue_entries import Catalogue

SAMPLE_SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
SAMPLE_FILE = "stocks.csv.gz"
PLAIN_WORDS = (
    r"\d+[a-z]?|bars?|candles?|ohlcv?|quotes?|trades?|ticks?|data|prices?|csv|txt|tsv|gz|zst|parquet|pq"
)
SYNTHETIC_ROWS = 100_000


def streams_of(request: Request, catalogue: Catalogue | None, warnings: list[str]) -> list[Stream]:
    """One stream for each market, in order. ``catalogue`` is what the source of this name reads."""
    if request.source == "synthetic":
        return [_synthetic(request, market, warnings) for market in request.markets]
    if catalogue is not None:
        files = [catalogue_files(catalogue, request, market) for market in request.markets]
        parts = [_parts(request, m, f, warnings) for m, f in zip(request.markets, files, strict=True)]
        return [stream_from(p, request, warnings) for p in parts]
    opened: dict[Path, DataFile] = {}  # markets in one file share it
    return [_stored(request, market, opened, warnings) for market in request.markets]


def _stored(request: Request, market: Wanted, opened: dict[Path, DataFile], warnings: list[str]) -> Stream:
    if request.source == "sample":
        files = [sample_file(market.symbol)]
    else:
        files = _files(request, market)
    for path in files:
        if path not in opened:
            opened[path] = open_file(path)
    parts = _parts(request, market, [opened[path] for path in files], warnings)
    return stream_from(parts, request, warnings)


def _files(request: Request, market: Wanted) -> list[Path]:
    named = market.path or request.path
    if named is None:
        raise BadInputError(f"data: no path for {market.symbol}; name a CSV or Parquet file or a folder")
    path = request.resolve(named)
    if not path.is_dir():
        return [path]
    found = sorted(
        p for p in path.iterdir() if p.is_file() and is_data_file(p) and names_symbol(p.name, market.symbol)
    )
    own = [p for p in path.iterdir() if p.is_dir() and normalized(p.name) == normalized(market.symbol)]
    for folder in own:
        found += sorted(p for p in folder.rglob("*") if p.is_file() and is_data_file(p))
    if not found and len(request.markets) == 1:
        files = sorted(p for p in path.iterdir() if p.is_file() and is_data_file(p))
        found = [p for p in files if names_nothing(p.name) or _says_symbols(p, request)]
    if not found:
        present = sorted(p.name for p in path.iterdir())[:20]
        raise BadInputError(
            f"{path}: no CSV or Parquet file for {market.symbol}{nearest(market.symbol, present)}; "
            f"the folder has {', '.join(present) or 'nothing'}"
        )
    return found


def names_nothing(name: str) -> bool:
    """Whether a file's name says no symbol, only what it holds: ``trades.csv``, ``bars-1m-2024.parquet``."""
    return all(re.fullmatch(PLAIN_WORDS, w) for w in re.split(r"[^a-z0-9]+", name.lower()) if w)


def _says_symbols(path: Path, request: Request) -> bool:
    """Whether a column says each row's symbol, so that another symbol's rows are never taken."""
    file = open_file(path)
    try:
        return detect(file.names, str(path), "auto", request.columns).symbol is not None
    except BadInputError:  # not a file of market data: another symbol's all the same
        return False


def names_symbol(name: str, symbol: str) -> bool:
    """Whether a file's name holds the symbol as whole words: ``spot_btcusdt_2024.csv`` for BTC/USDT."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    wanted = normalized(symbol)
    return any(
        "".join(words[i:j]) == wanted
        for i in range(len(words))
        for j in range(i + 1, min(i + 4, len(words)) + 1)
    )


def _parts(request: Request, market: Wanted, files: Sequence[DataFile], warnings: list[str]) -> list[Part]:
    found, refused = [], []
    kind = "auto" if len(files) > 1 else request.kind
    for file in files:
        try:
            layout = detect(file.names, str(file.path), kind, request.columns)
        except BadInputError as error:
            refused.append(error)
            continue
        found.append((file, layout))
    if not found:
        raise refused[0]
    warnings.extend(f"left out: {error}" for error in refused)
    kinds = _kinds(request, {layout.kind for _, layout in found}, market.symbol)
    return [Part(f, layout, request.timezone, market.symbol) for f, layout in found if layout.kind in kinds]


def _kinds(request: Request, present: set[str], symbol: str) -> set[str]:
    """The kinds that are read: what was asked for, else bars where a timeframe is, else the only ones there.

    Quotes and trades go together. Data of another kind that come later never change what a manifest reads.
    """
    asked = request.kind
    if asked != "auto":
        if asked not in present:
            raise BadInputError(f"{symbol}: there are no {asked}, but {', '.join(sorted(present))}")
        return {asked}
    if request.timeframe is not None and "bars" in present:
        return {"bars"}
    groups = [k for k in ({"ticks"}, {"bars"}, {"quotes", "trades"}) if k & present]
    if len(groups) > 1:
        raise BadInputError(
            f"{symbol}: there are {', '.join(sorted(present))}; say which with data.kind:, "
            "or with timeframe: for bars"
        )
    return groups[0]


def stream_from(parts: Sequence[Part], request: Request, warnings: list[str]) -> Stream:
    """The engine's columns from one symbol's parts, inside the period."""
    low, high = request.start, None if request.end is None else request.end - 1
    kind = parts[0].layout.kind
    if any(part.rule.dates for part in parts):
        warnings.append(f"{short(parts)}: dates without a time of day are taken as 00:00 UTC")
    stream: Stream
    if kind == "bars":
        return _bars(parts, request, warnings)
    if kind == "ticks":
        series = Series(parts, low, high)
        stream, scans = TickStream(series), [series.scan]
    else:
        quotes, trades = ([p for p in parts if p.layout.kind == k] for k in ("quotes", "trades"))
        by_kind = [Series(p, low, high) if p else None for p in (quotes, trades)]
        stream, scans = EventStream(*by_kind), [s.scan for s in by_kind if s is not None]
    if not any(scan.rows for scan in scans):
        raise nothing_inside(scans[0], names_in(parts), request.start, request.end)
    return stream


@dataclass(frozen=True)
class BarShape:
    """How bars are stamped: their length and what is subtracted from a stamp to get the open time (ns)."""

    timeframe: int
    shift: int


def bar_shape(parts: Sequence[Part], timeframe: int | None, stamps: str, warnings: list[str]) -> BarShape:
    """Length and stamps of bars: as given, else as imported, as the column's name says, as the sessions
    show."""
    times = _head(parts)
    tags = [p.file.tag for p in parts if isinstance(p.file, ParquetFile) and p.file.tag.get("kind") == "bars"]
    if len(tags) == len(parts):
        return BarShape(
            choose_timeframe(times, timeframe or int(tags[0]["timeframe"]), names_in(parts), warnings), 0
        )
    length = choose_timeframe(times, timeframe, names_in(parts), warnings)
    if stamps == "auto":
        stamps = parts[0].layout.stamps or (
            "open" if parts[0].rule.dates else stamps_of(times, length) or "auto"
        )
    if stamps == "auto":
        warnings.append(
            f"{short(parts)}: the stamps of the bars are taken as open times; if they are close times, "
            "say stamps: close"
        )
    return BarShape(length, length if stamps == "close" else 0)


def _head(parts: Sequence[Part]) -> np.ndarray:
    heads: list[np.ndarray] = []
    for part in in_order(parts):
        heads.append(part.head)
        if sum(map(len, heads)) > 10_000:
            break
    return np.concatenate(heads)


def _bars(parts: Sequence[Part], request: Request, warnings: list[str]) -> Stream:
    parts = _one_timeframe(parts, request.timeframe)
    shape = bar_shape(parts, request.timeframe, request.stamps, warnings)
    low = None if request.start is None else request.start + shape.shift
    high = None if request.end is None else request.end + shape.shift - shape.timeframe
    series = Series(parts, low, high)
    if series.scan.rows == 0:
        raise nothing_inside(series.scan, names_in(parts), request.start, request.end)
    return BarStream(series, shape.timeframe, shape.shift)


def _one_timeframe(parts: Sequence[Part], wanted: int | None) -> Sequence[Part]:
    """A folder may hold one symbol's bars of several lengths: those of the length that was asked for."""
    if len(parts) == 1:
        return parts
    lengths = {id(p): timeframe_of(p.head) for p in parts}
    known = {length for length in lengths.values() if length}
    if len(known) < 2:
        return parts
    if wanted not in known:
        raise BadInputError(
            f"{names_in(parts)}: bars of {', '.join(duration(k) for k in sorted(known))}; "
            "say which with timeframe:"
        )
    return [p for p in parts if lengths[id(p)] == wanted]


def sample_file(symbol: str) -> Path:
    """The daily bars of five stocks that come with the demo."""
    from importlib.util import find_spec

    if symbol not in SAMPLE_SYMBOLS:
        raise BadInputError(
            f"the sample has no {symbol!r}{nearest(symbol, SAMPLE_SYMBOLS)}; "
            f"it has {', '.join(SAMPLE_SYMBOLS)}"
        )
    found = find_spec("bokeh_sampledata")  # finding does not import it
    folder = Path(found.origin).parent / "_data" if found is not None and found.origin is not None else None
    if folder is None or not (folder / SAMPLE_FILE).exists():
        raise BadInputError(
            "the sample data are not installed; install the extra: pip install 'sigma-x[demo]'"
        )
    return folder / SAMPLE_FILE


def catalogue_files(catalogue: Catalogue, request: Request, market: Wanted) -> list[DataFile]:
    """The files of a symbol in the catalogue. A path may narrow it: venue, venue/symbol or
    venue/symbol/kind."""
    present = catalogue.entries()
    words = [w for w in (market.path or request.path or "").strip("/").split("/") if w]
    found = [
        e
        for e in present
        if normalized(e.symbol) == normalized(market.symbol) and e.name.split("/")[: len(words)] == words
    ]
    if not found:
        symbols = sorted({e.symbol for e in present})
        under = f" under {'/'.join(words)}" if words else ""
        raise BadInputError(
            f"the catalogue {catalogue.shown} has no {market.symbol!r}{under}"
            f"{nearest(market.symbol, symbols)}; "
            f"it has {', '.join(e.name for e in present[:20]) or 'nothing yet'}; sigma data import fills it"
        )
    if len({e.venue for e in found}) > 1:
        raise BadInputError(
            f"several venues have {market.symbol}: {', '.join(e.name for e in found)}; "
            "say which with data.path: VENUE"
        )
    kinds = _kinds(request, {e.kind for e in found}, market.symbol)
    found = [e for e in found if e.kind in kinds]
    if "bars" in kinds and request.timeframe is not None:
        found = [e for e in found if e.timeframe == request.timeframe] or found
    if "bars" in kinds and len(found) > 1:
        raise BadInputError(
            f"{market.symbol}: the catalogue has {', '.join(e.name for e in found)}; "
            "say which with timeframe:"
        )
    picked = [(e, e.picked(catalogue.dates(e), request.start, request.end)) for e in found]
    return [file for entry, dates in picked for file in catalogue.open(entry, dates)]


class SyntheticStream:
    """Generated rows of one symbol."""

    def __init__(
        self, kind: Literal["tick", "bar"], seed: int, rows: int, start: int, timeframe: int
    ) -> None:
        self.kind, self.rows, self.timeframe = kind, rows, timeframe
        self._seed, self._from = seed, start
        step = timeframe or synthetic.TICK
        self.start = start if timeframe else start + step
        self.end = start + rows * step
        self.has_volume = True

    def chunks(self) -> Iterator[Columns]:
        """Blocks of the generator."""
        if self.timeframe:
            return synthetic.bar_blocks(self.rows, self._seed, 1, self.timeframe, self._from)
        return synthetic.tick_blocks(self.rows, self._seed, 1, self._from)


def seed_of(symbol: str) -> int:
    """The seed of a symbol's generated market: its name, so that another symbol beside it changes nothing."""
    import zlib

    return zlib.crc32(symbol.encode())


def _synthetic(request: Request, market: Wanted, warnings: list[str]) -> Stream:
    kind: Literal["tick", "bar"] = "bar" if request.kind == "bars" or request.timeframe else "tick"
    if request.kind not in ("auto", "bars", "ticks"):
        raise BadInputError(f"kind: {request.kind!r} cannot be generated; bars and ticks can")
    timeframe = (request.timeframe or MINUTE) if kind == "bar" else 0
    step = timeframe or synthetic.TICK
    start = request.start if request.start is not None else synthetic.START
    rows = SYNTHETIC_ROWS if request.end is None else (request.end - start) // step
    if rows < 1:
        raise BadInputError(f"period: holds no row of {duration(step)}; make it longer")
    warnings.append(f"{market.symbol}: synthetic data, generated, not a real market")
    return SyntheticStream(kind, seed_of(market.symbol), rows, start, timeframe)


__all__ = ["Layout", "bar_shape", "sample_file", "stream_from", "streams_of"]
