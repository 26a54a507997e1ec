"""Market data as the player takes them: one row a tick, in time order, from a file, the catalogue or the
generator. NumPy and PyArrow are imported when the first row is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sigma_bot.emulator.model import Rules
from sigma_bot.errors import BadInputError
from sigma_bot.times import DAY

SYNTHETIC = "synthetic"
DAYS_30 = 30 * DAY
LOOKED_AT = 2000


class Row(NamedTuple):
    """One tick of one market; ``ts`` ns, ``volume`` since the market's last tick."""

    ts: int
    symbol: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    last: float
    volume: float
    low: float
    high: float


Source = Callable[[], Iterator[Row]]
"""Opens the data from their beginning."""


def recorded(data: str, symbols: Sequence[str]) -> Source:
    """Rows of ``data``: a CSV or Parquet file, a folder of them, a place in the catalogue, or "synthetic".
    Raises BadInputError when there are none."""

    def rows() -> Iterator[Row]:
        from sigma_bot.data.market import TICK_COLUMNS

        for chunk in _open(data, symbols).chunks():
            columns = [chunk[name].tolist() for name in TICK_COLUMNS]
            columns[1] = [symbols[i] for i in columns[1]]
            yield from map(Row._make, zip(*columns, strict=True))

    return rows


def _open(data: str, symbols: Sequence[str]) -> Any:
    from sigma_bot.data import synthetic
    from sigma_bot.data.market import open_request
    from sigma_bot.data.request import Request, Wanted

    markets = tuple(Wanted(s) for s in symbols)
    if data == SYNTHETIC:
        return open_request(Request(markets, source=SYNTHETIC, kind="ticks", end=synthetic.START + DAYS_30))
    source = "file" if Path(data).expanduser().exists() else "catalogue"
    market = open_request(Request(markets, source=source, path=data))
    if market.kind != "tick":
        raise BadInputError(f"{data}: these are bars; an exchange is replayed from ticks, quotes or trades")
    return market


def fitting(rules: Sequence[Rules], source: Source) -> list[Rules]:
    """The rules with the data's own price grid, where the data do not keep to the venue's."""
    prices: dict[str, set[Decimal]] = {r.symbol: set() for r in rules}
    for row in islice(source(), LOOKED_AT):
        prices[row.symbol] |= {Decimal(repr(p)) for p in (row.bid, row.ask, row.last)}
    return [_fitted(r, prices[r.symbol]) for r in rules]


def _fitted(rules: Rules, prices: set[Decimal]) -> Rules:
    if all(p % rules.tick(p) == 0 for p in prices):
        return rules
    digits = max(-int(p.normalize().as_tuple().exponent) for p in prices)
    return replace(rules, bands=((Decimal(0), Decimal(1).scaleb(-max(digits, 0))),))
