"""A strategy that sends every kind of order at pseudo-random moments, and random markets for it to meet.

Its only use is to hold the engine to its promises: accounts that add up, fills that the market allowed, and
two executions that agree to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sigma_bot import FOK, GTD, IOC, Ema, Strategy, param

T0 = 1_700_000_040_000_000_000


class Fuzz(Strategy):
    """Draws an action every ``every`` rows from its own generator, so that both executions draw the same."""

    seed: int = param(1, ge=1)
    every: int = param(20, ge=1)
    size: float = param(2.5, gt=0)
    last: int
    fills: int
    bars: int
    sum: float
    ema: Ema

    def on_start(self):
        self.ema.setup(10)

    def rnd(self, n):
        self.seed = (self.seed * 1103515245 + 12345) % 2147483648
        return (self.seed // 65536) % n

    def act(self, bid, ask, ts, broker):
        if self.rnd(self.every) != 0:
            return
        a = self.rnd(16)
        q = (self.rnd(1000) + 1) * 0.001 * self.size
        d = (self.rnd(200) - 60) * 0.01
        far = self.rnd(broker.n_markets)
        if a == 0:
            broker.buy(q)
        elif a == 1:
            broker.sell(q, symbol=far)
        elif a == 2:
            self.last = broker.buy(q, limit=bid - d, tif=GTD, expire=ts + 30_000_000_000)
        elif a == 3:
            self.last = broker.sell(q, limit=ask + d, post_only=self.rnd(2) == 0)
        elif a == 4:
            self.last = broker.buy(q, stop=ask + abs(d))
        elif a == 5:
            self.last = broker.sell(q, stop=bid - abs(d), limit=bid - abs(d) - 0.05)
        elif a == 6:
            if broker.position > 0.0:
                self.last = broker.sell(q, trail=0.2 + abs(d))
            else:
                self.last = broker.buy(q, trail=0.2 + abs(d))
        elif a == 7:
            broker.buy(q, limit=ask, tif=FOK if self.rnd(2) == 0 else IOC)
            broker.sell(q, limit=bid, tif=IOC, symbol=far)
        elif a == 8:
            self.last = broker.buy(q, limit=bid, stop_loss=bid - 0.3, take_profit=ask + 0.3)
        elif a == 9:
            broker.cancel(self.last)
        elif a == 10:
            broker.modify(self.last, limit=bid - d, qty=q)
        elif a == 11:
            x = broker.buy(q, limit=bid - abs(d))
            y = broker.buy(q, stop=ask + abs(d))
            broker.oco(x, y)
        elif a == 12:
            broker.target_fraction(0.01 * self.rnd(100))
        elif a == 13:
            broker.sell(q, reduce_only=True)
        elif a == 14:
            broker.sell(q, stop_loss=ask + 0.4, take_profit=bid - 0.2)
        else:
            broker.close()

    def on_tick(self, tick, broker):
        self.sum += self.ema.update(tick.mid) + broker.unrealized_profit - broker.average_price
        self.act(tick.bid, tick.ask, tick.ts, broker)

    def on_bar(self, bar, broker):
        self.bars += 1
        self.sum += bar.close * bar.volume + bar.high - bar.low + broker.realized_profit + broker.fees
        if broker.own_bars != 0:
            self.act(bar.close, bar.close, bar.end, broker)

    def on_fill(self, fill, broker):
        self.fills += 1
        if self.rnd(50) == 0:
            if fill.side > 0:
                broker.sell(fill.quantity)
            else:
                broker.buy(fill.quantity)


def tick_market(n: int, seed: int, symbols: int = 1) -> dict[str, Any]:
    """Ticks of a random walk around 100 on a grid of 0.01; some ticks without a trade."""
    rng = np.random.default_rng(seed)
    bid = np.floor(100 * np.exp(np.cumsum(rng.normal(0, 1e-4, n))) * 100)
    ask = bid + 1 + rng.integers(0, 3, n)
    traded = rng.random(n) < 0.7
    traded[0] = True
    last = np.where(rng.random(n) < 0.5, ask, bid)
    last = last[np.maximum.accumulate(np.where(traded, np.arange(n), 0))]
    low = np.where(traded, np.minimum(last, bid - rng.integers(0, 2, n)), last)
    high = np.where(traded, np.maximum(last, ask), last)
    return {
        "ts": T0 + np.arange(n, dtype=np.int64) * 100_000_000,
        "symbol": rng.integers(0, symbols, n).astype(np.int32),
        "bid": bid / 100,
        "ask": ask / 100,
        "bid_size": rng.integers(1, 3000, n) / 1000,
        "ask_size": rng.integers(1, 3000, n) / 1000,
        "last": last / 100,
        "volume": np.where(traded, rng.integers(1, 2000, n) / 1000, 0.0),
        "low": low / 100,
        "high": high / 100,
    }


def bar_market(n: int, seed: int, symbols: int = 1) -> dict[str, Any]:
    """Minute bars of a random walk; the bars of several symbols close together, in order of symbol."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 1e-3, (n, symbols)), axis=0)), 2)
    start = np.vstack([np.full(symbols, 100.0), close[:-1]])
    high = np.round(np.maximum(start, close) + rng.integers(0, 30, (n, symbols)) / 100, 2)
    low = np.round(np.minimum(start, close) - rng.integers(0, 30, (n, symbols)) / 100, 2)
    ts = np.repeat(T0 + np.arange(n, dtype=np.int64) * 60_000_000_000, symbols)
    return {
        "ts": ts,
        "end": ts + 60_000_000_000,
        "symbol": np.tile(np.arange(symbols, dtype=np.int32), n),
        "open": start.ravel(),
        "high": high.ravel(),
        "low": low.ravel(),
        "close": close.ravel(),
        "volume": rng.integers(0, 20_000, n * symbols) / 1000,
    }
