"""Round trips from fills: a trade runs from flat to flat, a reversal closes one and opens the next.

Money stays integer: a reversing fill's fee is split pro rata by lots between the trade it closes and the
trade it opens, and the two parts always add up to the fee, so over any list of fills ``sum(trade.pnl) ==
sum(fill.realized) - sum(fill.fee)`` holds to the quantum. Funding belongs to the account, not to a trade, and
is reported on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.results.result import BacktestResult

TRADE = np.dtype(
    [
        ("symbol", "i4"),
        ("side", "i8"),
        ("entry", "i8"),
        ("exit", "i8"),
        ("lots", "i8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("pnl", "i8"),
        ("fees", "i8"),
        ("mae", "f8"),
        ("mfe", "f8"),
        ("fills", "i8"),
        ("open", "?"),
    ]
)
"""One row a trade, in order of entry. ``side`` +1 long, -1 short; ``entry``/``exit`` ns (``exit`` 0 while
open); ``lots`` the largest position held; prices averaged by lots (``exit_price`` NaN before the first exit);
``pnl`` quanta after fees (of an open trade: what is realised so far); ``mae``/``mfe`` money, see
:func:`trades_of`; ``fills`` counts a reversing fill in both trades."""


@dataclass(frozen=True)
class _Legs:
    """Fills grouped by symbol with reversals cut in two; every array has one entry a leg."""

    fills: NDArray[np.void]
    source: NDArray[np.int64]
    lots: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    fee: NDArray[np.int64]
    realized: NDArray[np.int64]


def trades_of(fills: NDArray[np.void], lot_sizes: Sequence[Decimal | float]) -> NDArray[np.void]:
    """Trades (dtype :data:`TRADE`) of fills in time order; ``lot_sizes`` per symbol turn lots into
    quantities.

    Maximum adverse and favourable excursion (Sweeney, *Campaign Trading*, 1996) as money, never negative: the
    distance from the average entry price to the worst (best) mark seen while the trade was on, times its
    largest quantity. Of an open trade only the marks up to its last fill are known.

    Raises ``ValueError`` when a fill's ``position`` does not follow from the fills before it.
    """
    if len(fills) == 0:
        return np.zeros(0, TRADE)
    legs = _legs(fills)
    starts = np.flatnonzero(legs.before == 0)
    trades = np.zeros(len(starts), TRADE)
    ends = np.append(starts[1:], len(legs.source)) - 1
    first, last = legs.fills[starts], legs.fills[ends]
    side = first["side"]
    trades["symbol"] = first["symbol"]
    trades["side"] = side
    trades["entry"] = first["ts"]
    trades["open"] = legs.after[ends] != 0
    trades["exit"] = np.where(trades["open"], 0, last["ts"])
    trades["lots"] = np.maximum.reduceat(np.maximum(np.abs(legs.after), np.abs(legs.before)), starts)
    trades["fees"] = np.add.reduceat(legs.fee, starts)
    trades["pnl"] = np.add.reduceat(legs.realized, starts) - trades["fees"]
    trades["fills"] = np.diff(np.append(starts, len(legs.source)))
    _prices(trades, legs, starts, first, last)
    _excursions(trades, legs, starts, np.asarray([float(x) for x in lot_sizes]))
    return trades[np.argsort(legs.source[starts], kind="stable")]


def result_trades(result: BacktestResult) -> NDArray[np.void]:
    """Trades of a whole backtest."""
    return trades_of(result.fills, [market.lot_size for market in result.markets])


def _legs(fills: NDArray[np.void]) -> _Legs:
    order = np.argsort(fills["symbol"], kind="stable")
    fills = fills[order]
    after = fills["position"].astype(np.int64)
    before = np.roll(after, 1)
    before[np.append(True, fills["symbol"][1:] != fills["symbol"][:-1])] = 0
    wrong = np.flatnonzero(before + fills["side"] * fills["lots"] != after)
    if len(wrong):
        row = fills[wrong[0]]
        raise ValueError(
            f"fill at {row['ts']} ns: position {row['position']} does not follow from {before[wrong[0]]} "
            f"by {row['side'] * row['lots']} lots"
        )
    reversal = np.sign(before) * np.sign(after) < 0
    index = np.repeat(np.arange(len(fills)), np.where(reversal, 2, 1))
    opening = np.append(False, index[1:] == index[:-1])
    closing = reversal[index] & ~opening
    cut = fills[reversal]
    # Python integers: fee times lots may pass 2**63
    share = (cut["fee"].astype(object) * np.abs(before[reversal]) // cut["lots"]).astype(np.int64)
    fee = fills["fee"][index].astype(np.int64)
    fee[closing] = share
    fee[opening] -= share
    start, end = before[index], after[index]
    start[opening] = 0
    end[closing] = 0
    return _Legs(
        fills=fills[index],
        source=order[index],
        lots=np.abs(end - start),
        before=start,
        after=end,
        fee=fee,
        realized=np.where(opening, 0, fills["realized"][index]),
    )


def _prices(
    trades: NDArray[np.void],
    legs: _Legs,
    starts: NDArray[np.int64],
    first: NDArray[np.void],
    last: NDArray[np.void],
) -> None:
    """Fill in the average prices, as a base plus the mean distance from it: equal prices average to
    themselves."""
    price, lots = legs.fills["price"], legs.lots.astype(float)
    direction = np.repeat(trades["side"], trades["fills"])
    for name, base, chosen in (
        ("entry_price", first["price"], legs.fills["side"] == direction),
        ("exit_price", last["price"], legs.fills["side"] != direction),
    ):
        weight = np.where(chosen, lots, 0.0)
        total = np.add.reduceat(weight, starts)
        distance = np.add.reduceat((price - np.repeat(base, trades["fills"])) * weight, starts)
        trades[name] = base + np.divide(distance, total, out=np.full(len(total), np.nan), where=total > 0)


def _excursions(trades: NDArray[np.void], legs: _Legs, starts: NDArray[np.int64], lot_sizes: Any) -> None:
    """Fill in MAE and MFE. A leg that opens a trade carries the marks of the position before: only its price
    counts."""
    price = legs.fills["price"]
    fresh = legs.before == 0
    side = np.repeat(trades["side"], trades["fills"])
    best = np.where(fresh, price, legs.fills["best"]) * side
    worst = np.where(fresh, price, legs.fills["worst"]) * side
    best = np.maximum.reduceat(np.maximum(best, price * side), starts)
    worst = np.minimum.reduceat(np.minimum(worst, price * side), starts)
    entry = trades["entry_price"] * trades["side"]
    size = trades["lots"] * lot_sizes[trades["symbol"]]
    trades["mae"] = np.maximum(entry - worst, 0.0) * size
    trades["mfe"] = np.maximum(best - entry, 0.0) * size
