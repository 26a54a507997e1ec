"""Generated markets: deterministic from a seed, in integer arithmetic, so the same on every machine.

Row ``i`` is a pure function of (seed, i) but for the running sums of the walk, so any cut into blocks gives
the same rows. Prices lie on a grid of 0.01, sizes on 0.001. The generator is SplitMix64 used as a counter
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the k-th output is the mix
of ``seed + k * gamma``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sigma_bot.data.rules import Columns
from sigma_bot.times import MINUTE

START = 1_704_067_200_000_000_000  # 2024-01-01 UTC
TICK = 100_000_000
BLOCK = 1 << 16
_GAMMA = 0x9E3779B97F4A7C15
_LOWEST, _SPAN = 50_000, 1 << 19  # the walk is folded into 500.00 .. 5742.88
_PRICE, _SIZE = 100.0, 1000.0


def _random(seed: int, first: int, count: int) -> np.ndarray:
    """``count`` numbers of the sequence from position ``first`` on, uint64."""
    mask = (1 << 64) - 1
    base = (seed * 0xD1342543DE82EF95 + (first + 1) * _GAMMA) & mask
    x = np.arange(count, dtype=np.uint64)
    x *= np.uint64(_GAMMA)
    x += np.uint64(base)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return x


def _field(bits: np.ndarray, shift: int, width: int) -> np.ndarray:
    """``width`` bits from ``shift`` on, as int64."""
    moved: np.ndarray = bits >> np.uint64(shift)
    moved &= np.uint64((1 << width) - 1)
    signed: np.ndarray = moved.view(np.int64)
    return signed


def _folded(walk: np.ndarray) -> np.ndarray:
    """A walk reflected at both ends of the price range, in grid steps."""
    inside = (walk + _SPAN // 2) & (2 * _SPAN - 1)
    folded: np.ndarray = _LOWEST + _SPAN - np.abs(inside - _SPAN)
    return folded


def _walk(steps: np.ndarray, carry: np.ndarray) -> np.ndarray:
    """Running sums per symbol of a (symbols, rows) array; ``carry`` (symbols,) is moved on."""
    walk: np.ndarray = np.cumsum(steps, axis=1)
    walk += carry[:, None]
    carry[:] = walk[:, -1]
    return walk


def tick_blocks(n: int, seed: int = 0, symbols: int = 1, start: int = START) -> Iterator[Columns]:
    """Ticks in blocks; see ``synthetic_ticks``."""
    times = -(-n // symbols)
    per_block = max(BLOCK // symbols, 1)
    carry = np.zeros(symbols, np.int64)
    last = np.full(symbols, -1, np.int64)
    for first in range(0, times, per_block):
        count = min(per_block, times - first)
        bits = _random(seed, first * symbols, count * symbols).reshape(count, symbols).T
        block = _ticks(bits, carry, last)
        block["ts"] = np.repeat(
            start + TICK * np.arange(first + 1, first + count + 1, dtype=np.int64), symbols
        )
        block["symbol"] = np.tile(np.arange(symbols, dtype=np.int32), count)
        rows = min(count * symbols, n - first * symbols)
        yield {k: v[:rows] for k, v in block.items()}


def _ticks(bits: np.ndarray, carry: np.ndarray, last: np.ndarray) -> Columns:
    """One block: the walk moves by -1, 0 or 1 steps, the spread is 1 or 2; a quarter of the ticks trades."""
    move = _field(bits, 0, 2)
    bid = _folded(_walk((move & 1) - (move >> 1), carry))
    ask = bid + 1 + (_field(bits, 2, 3) == 0)
    traded = _field(bits, 5, 2) == 0
    side = _field(bits, 7, 1)
    price = np.where(side == 0, bid, ask)
    both = traded & (_field(bits, 8, 2) == 0)  # the interval traded on both sides
    if last[0] < 0:
        last[:] = bid[:, 0]
    trade = _carried(price, traded, last)
    columns = {
        "bid": bid / _PRICE,
        "ask": ask / _PRICE,
        "bid_size": (_field(bits, 10, 13) + 1) / _SIZE,
        "ask_size": (_field(bits, 23, 13) + 1) / _SIZE,
        "last": trade / _PRICE,
        "volume": np.where(traded, _field(bits, 36, 11) + 1, 0) / _SIZE,
        "low": np.where(both, bid, trade) / _PRICE,
        "high": np.where(both, ask, trade) / _PRICE,
    }
    return {k: v.T.reshape(-1) for k, v in columns.items()}


def _carried(price: np.ndarray, traded: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The latest traded price at each row, per symbol; ``last`` holds what came before and is moved on."""
    rows = np.where(traded, np.arange(price.shape[1]), -1)
    latest = np.maximum.accumulate(rows, axis=1)
    found = np.where(latest >= 0, np.take_along_axis(price, np.maximum(latest, 0), axis=1), last[:, None])
    last[:] = found[:, -1]
    return found


def bar_blocks(
    n: int, seed: int = 0, symbols: int = 1, timeframe: int = MINUTE, start: int = START
) -> Iterator[Columns]:
    """Bars in blocks; see ``synthetic_bars``."""
    times = -(-n // symbols)
    per_block = max(BLOCK // symbols, 1)
    carry = np.zeros(symbols, np.int64)
    for first in range(0, times, per_block):
        count = min(per_block, times - first)
        bits = _random(seed, first * symbols, count * symbols).reshape(count, symbols).T
        before = carry.copy()
        walk = _walk(_field(bits, 0, 8) + _field(bits, 8, 8) - 255, carry)
        close = _folded(walk)
        opened = _folded(np.concatenate([before[:, None], walk[:, :-1]], axis=1))
        columns = {
            "open": opened / _PRICE,
            "high": (np.maximum(opened, close) + _field(bits, 16, 7)) / _PRICE,
            "low": (np.minimum(opened, close) - _field(bits, 23, 7)) / _PRICE,
            "close": close / _PRICE,
            "volume": (_field(bits, 30, 20) + 1) / _SIZE,
        }
        block = {k: v.T.reshape(-1) for k, v in columns.items()}
        block["ts"] = np.repeat(start + timeframe * np.arange(first, first + count, dtype=np.int64), symbols)
        block["end"] = block["ts"] + timeframe
        block["symbol"] = np.tile(np.arange(symbols, dtype=np.int32), count)
        rows = min(count * symbols, n - first * symbols)
        yield {k: v[:rows] for k, v in block.items()}


def synthetic_ticks(n: int, seed: int = 0, symbols: int = 1, start: int = START) -> Columns:
    """``n`` ticks, 100 ms apart, of ``symbols`` symbols in turn: ts, symbol, bid, ask, bid_size, ask_size,
    last, volume, low, high."""
    return _whole(tick_blocks(n, seed, symbols, start), n)


def synthetic_bars(
    n: int, seed: int = 0, symbols: int = 1, timeframe: int = MINUTE, start: int = START
) -> Columns:
    """``n`` bars of ``symbols`` symbols in turn: ts, end, symbol, open, high, low, close, volume."""
    return _whole(bar_blocks(n, seed, symbols, timeframe, start), n)


def _whole(blocks: Iterator[Columns], n: int) -> Columns:
    result: Columns = {}
    at = 0
    for block in blocks:
        size = len(block["ts"])
        for name, values in block.items():
            if name not in result:
                result[name] = np.empty(n, values.dtype)
            result[name][at : at + size] = values
        at += size
    return result
