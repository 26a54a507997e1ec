"""Funding rates of perpetual futures: a small file of times and rates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sigma_bot.data.columns import Layout, find_time, listed, normalized
from sigma_bot.data.readers import open_file
from sigma_bot.data.series import Part
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.times import iso

DTYPE = np.dtype([("ts", "i8"), ("symbol", "i4"), ("rate", "f8")])
RATES = ("fundingrate", "rate", "funding", "lastfundingrate", "realizedrate")
SYMBOLS = ("symbol", "ticker", "market", "instrument", "pair", "instid")


def read_funding(path: Path, symbols: Sequence[str], timezone: str | None = None) -> np.ndarray:
    """Structured rows (ts ns, symbol position, rate as a fraction), sorted by time, then symbol.

    Raises BadInputError for a missing column, a rate that is no number or beyond +-100 %, or a file without
    a symbol column where the run has several markets.
    """
    file = open_file(path)
    by_plain = {normalized(name): name for name in reversed(file.names)}
    rate = next((by_plain[a] for a in RATES if a in by_plain), None)
    time, _ = find_time(file.names, {k: v for k, v in {"ts": by_plain.get("fundingtime")}.items() if v})
    if rate is None or not time:
        missing = "ts" if rate is not None else "funding_rate"
        raise BadInputError(
            f"{path}: funding needs a column {missing!r} and the file has {listed(file.names)}"
            f"{nearest(missing, file.names)}"
        )
    column = next((by_plain[a] for a in SYMBOLS if a in by_plain), None)
    if column is None and len(symbols) > 1:
        raise BadInputError(
            f"{path}: the run has {len(symbols)} markets, so funding needs a column 'symbol'; "
            f"the file has {listed(file.names)}"
        )
    layout = Layout("funding", {"rate": rate}, time, symbol=column)
    pieces = [_rows(Part(file, layout, timezone, symbol), i) for i, symbol in enumerate(symbols)]
    table = np.concatenate(pieces)
    return table[np.lexsort((table["symbol"], table["ts"]))]


def _rows(part: Part, symbol: int) -> np.ndarray:
    pieces = []
    for rows in part.rows():
        rate = rows.columns["rate"]
        bad = np.flatnonzero(~(np.abs(rate) <= 1.0))
        if len(bad):
            place, name = part.place(rows.index[bad[0]]), part.layout.columns["rate"]
            raise BadInputError(
                f"{place}, column {name}: {float(rate[bad[0]])!r} "
                "is not a funding rate; a fraction such as 0.0001 is right"
            )
        piece = np.empty(len(rate), DTYPE)
        piece["ts"], piece["symbol"], piece["rate"] = rows.columns["ts"], symbol, rate
        pieces.append(piece)
    table = np.concatenate(pieces) if pieces else np.empty(0, DTYPE)
    twice = np.flatnonzero(np.diff(np.sort(table["ts"])) == 0)
    if len(twice):
        raise BadInputError(f"{part.file.path}: two funding rates for {iso(np.sort(table['ts'])[twice[0]])}")
    return table
