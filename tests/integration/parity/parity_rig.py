"""A SIM bot with a recording beside it, and strategies of many kinds."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sigma_bot.bus import open_bus
from sigma_bot.feed.recorder import Recorder
from sigma_bot.journal import open_journal
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log
from sigma_bot.parity.run import Verdict, check, read_run
from sigma_bot.spec import Strategy, dump_manifest, parse_manifest
from sigma_bot.trading.runner import BotRunner
from sigma_bot.trading.settings import Settings
from tests.support import bots, servers

START = 1_700_000_000_000_000_000
STEP = 100_000_000
HEAD = "from sigma_bot import IOC, Ema, Sma, Strategy, param\n"

CROSS = """
class Cross(Strategy):
    fast: int = param(5, ge=1)
    slow: int = param(13, ge=2)
    a: Ema
    b: Ema

    def on_start(self):
        self.a.setup(self.fast)
        self.b.setup(self.slow)

    def on_tick(self, tick, broker):
        fast = self.a.update(tick.mid)
        slow = self.b.update(tick.mid)
        if not self.b.ready:
            return
        if fast > slow and broker.position == 0 and broker.open_orders == 0:
            broker.buy(0.01, limit=tick.bid, stop_loss=tick.bid * 0.998, take_profit=tick.bid * 1.002)
        elif fast < slow and broker.position > 0:
            broker.close()
"""
QUOTER = """
class Quoter(Strategy):
    waited: int

    def on_tick(self, tick, broker):
        self.waited += 1
        if self.waited % 20 != 0:
            return
        broker.cancel_all()
        if broker.position < 0.05:
            broker.buy(0.0137, limit=tick.bid - 1000)
        if broker.position > 0.0137:
            broker.sell(0.0137, limit=tick.ask + 1000)
"""
MARKET = """
class Market(Strategy):
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen % 50 == 0:
            broker.buy(0.03)
        if self.seen % 50 == 25 and broker.position > 0:
            broker.sell(broker.position)
"""
BARS = """
class Bars(Strategy):
    average: Sma

    def on_start(self):
        self.average.setup(3)

    def on_bar(self, bar, broker):
        mean = self.average.update(bar.close)
        if bar.close > mean and broker.position == 0:
            broker.buy(0.01)
        elif bar.close < mean and broker.position > 0:
            broker.close()
"""
MEMORY = """
class Memory(Strategy):
    '''Reads the account and its own fills.'''
    bought: int
    spent: float

    def on_fill(self, fill, broker):
        self.bought += 1
        self.spent += fill.price

    def on_tick(self, tick, broker):
        if broker.position == 0 and broker.open_orders == 0:
            size = broker.equity * 0.1 / tick.ask
            broker.buy(size, limit=tick.ask, tif=IOC)
        elif broker.position > 0 and self.spent / max(self.bought, 1) < tick.bid * 1.0005:
            broker.sell(broker.position, limit=tick.bid)
"""
RAISES = """
class Raises(Strategy):
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen % 40 == 0:
            broker.buy(0.01)
        if self.seen == 333:
            raise RuntimeError('three')
"""
PAIRS = """
class Pairs(Strategy):
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen % 31 == 0:
            broker.buy(0.01, symbol=tick.symbol, limit=tick.ask)
        if self.seen % 77 == 0:
            broker.close(symbol=tick.symbol)
"""
_ALL = {
    "cross": CROSS,
    "quoter": QUOTER,
    "market": MARKET,
    "bars": BARS,
    "memory": MEMORY,
    "raises": RAISES,
    "pairs": PAIRS,
}
STRATEGIES = {name: HEAD + code for name, code in _ALL.items()}
MAKERS = {
    "price": "UPDATE fills SET price = price + 1000 WHERE id = (SELECT MAX(id) FROM fills)",
    "fill": "DELETE FROM fills WHERE id = (SELECT MAX(id) - 2 FROM fills)",
    "order": "DELETE FROM orders WHERE order_id = (SELECT MAX(order_id) FROM orders)",
}


async def nothing() -> None:
    """Nothing happens meanwhile."""


def walk(n: int, seed: str) -> list[float]:
    """Prices on Upbit's grid."""
    rng, price, out = random.Random(seed), 60_000_000.0, []
    for _ in range(n):
        price += rng.choice((-1, 0, 1)) * rng.randint(1, 40) * 1000
        out.append(price)
    return out


class Desk:
    """One bot, its journal, bus and recording in a folder."""

    def __init__(self, folder: Path, code: str, symbols: Sequence[str] = ("KRW-BTC",)) -> None:
        self.folder, self.symbols = folder, symbols
        self.ticks = folder / "ticks"
        self.url = servers.migrated_sqlite(folder / "journal.db")
        self.told = self.manifest(code)
        self.unrecorded: Sequence[int] = ()
        self.done = 0
        self.silent = False  # batches hold no tick
        self.prices: list[float] = []

    def manifest(self, code: str, params: dict[str, Any] | None = None) -> Strategy:
        value = {
            "apiVersion": "sigma-x.io/v1alpha1",
            "kind": "Strategy",
            "metadata": {"name": "cross"},
            "spec": {
                "strategy": {"code": code, "params": params or {}},
                "markets": [{"symbol": symbol, "rules": "upbit"} for symbol in self.symbols],
                "timeframes": ["10s"] if "on_bar" in code else [],
                "account": {"venue": "upbit", "name": "main", "currency": "KRW", "cash": "100000000"},
                "execution": {"latency": "150ms"},
                "warmup": "2s",
            },
        }
        parsed = parse_manifest(value)
        assert isinstance(parsed, Strategy)
        return parsed

    @staticmethod
    def written(manifest: Strategy) -> dict[str, Any]:
        return dict(dump_manifest(manifest))

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.bus = open_bus("memory://", self.folder / "spool")
        self.recorder = Recorder(self.ticks, "upbit")
        async with await open_journal(self.url) as self.journal:
            yield
        self.recorder.close()
        await self.bus.close()

    def batch(self, seq: int) -> TickBatch:
        price = self.prices[seq - 1]
        was = self.prices[seq - 2] if seq > 1 else price
        messages = []
        for i, symbol in enumerate(sorted(self.symbols)):
            p, w = price + i * 5000, was + i * 5000
            messages.append(
                TickMessage(symbol, p - 1000, p + 1000, 0.5, 0.5, p, 0.3, min(w, p), max(w, p), 0, 0)
            )
        return TickBatch("upbit", seq, START + seq * STEP, (), () if self.silent else tuple(messages))

    async def trade(
        self,
        prices: list[float] | None,
        cuts: Sequence[int],
        controls: Sequence[str] = (),
        meanwhile: Callable[[], Awaitable[None]] = nothing,
        **settings: Any,
    ) -> None:
        """Hand the bot batches, stopped and started at each cut; then give the controls and wait until they
        hold."""
        self.prices = prices if prices is not None else self.prices
        for cut in cuts:
            await self._until_cut(cut, controls if cut == cuts[-1] else (), meanwhile, settings)

    async def _until_cut(
        self,
        cut: int,
        controls: Sequence[str],
        meanwhile: Callable[[], Awaitable[None]],
        settings: dict[str, Any],
    ) -> None:
        async with self.running(**settings) as runner:
            await self.listening(runner)
            for seq in range(self.done + 1, cut + 1):
                batch = self.batch(seq)
                if seq not in self.unrecorded:
                    self.recorder.write(seq, batch.ts, batch.encode())
                await self.bus.append(ticks_log("upbit"), seq, batch.encode())
            await self.until(lambda: runner.session is not None and runner.session.bot.progress.tick >= cut)
            self.done = cut
            await meanwhile()
            for action in controls:
                await self.control(runner, action)

    async def lose(self, upto: int) -> None:
        """The bus loses its log, and batches up to ``upto`` are recorded while the bot is away."""
        for seq in range(self.done + 1, upto + 1):
            batch = self.batch(seq)
            self.recorder.write(seq, batch.ts, batch.encode())
        self.done = upto
        await self.bus.close()
        self.bus = open_bus("memory://", self.folder / f"spool-{upto}")

    async def control(self, runner: BotRunner, action: Any) -> None:
        await self.journal.control("strategy", "cross", action, "asked", by="test", now=time.time_ns())

        def holds() -> bool:
            return runner.session is not None and bool(runner.session.bot.progress.halted) == (
                action != "resume"
            )

        assert runner.session is not None
        await runner.session.read_controls()
        await self.until(holds)

    @contextlib.asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[BotRunner]:
        runner = bots.bot(Settings(self.told, self.folder, **settings), self.journal, self.bus)
        async with bots.running(runner):
            yield runner

    async def listening(self, runner: BotRunner) -> None:
        """A new bot begins with the next tick: wait until it hears it."""
        await self.until(lambda: runner.session is not None)
        if runner.session is not None and runner.session.opened.after is None:
            await asyncio.sleep(0.1)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.002)

    async def verdict(
        self,
        code: str | None = None,
        params: dict[str, Any] | None = None,
        name: str = "cross",
        run: int | None = None,
    ) -> Verdict:
        sim = await read_run(self.journal, name, run)
        other = None
        if code is not None or params is not None:
            other = self.manifest(code or self.told.spec.strategy.code or "", params)
        return await asyncio.to_thread(check, sim, self.ticks, other)

    def forge(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "journal.db")) as database:
            assert database.execute(statement).rowcount == 1
            database.commit()
