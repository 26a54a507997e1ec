"""A SIM bot inside the test: real journal, real bus, and ticks that the test hands it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from sigma_bot.bus import open_bus
from sigma_bot.bus.interface import Bus
from sigma_bot.journal import open_journal
from sigma_bot.journal.journal import Journal
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log
from sigma_bot.spec import Strategy, parse_manifest
from sigma_bot.trading.runner import BotRunner
from sigma_bot.trading.settings import Settings
from tests.support import bots

START = 1_700_000_000_000_000_000
STEP = 100_000_000
CROSS = """
from sigma_bot import Strategy, Ema, param

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


def manifest(code: str = CROSS, **spec: Any) -> Strategy:
    """A SIM manifest with inline code."""
    value = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": "cross"},
        "spec": {
            "strategy": {"code": code},
            "markets": [{"symbol": "KRW-BTC", "rules": "upbit"}],
            "account": {"venue": "upbit", "name": "main", "currency": "KRW", "cash": "100000000"},
            **spec,
        },
    }
    parsed = parse_manifest(value)
    assert isinstance(parsed, Strategy)
    return parsed


def batches(prices: Iterable[float], first: int = 1, symbol: str = "KRW-BTC") -> list[TickBatch]:
    """One batch per price, every 100 ms."""
    out = []
    last = None
    for i, price in enumerate(prices):
        was = price if last is None else last
        message = TickMessage(
            symbol, price - 1000, price + 1000, 0.5, 0.5, price, 0.3, min(was, price), max(was, price), 0, 0
        )
        out.append(TickBatch("upbit", first + i, START + (first + i) * STEP, (), (message,)))
        last = price
    return out


async def publish(bus: Bus, rows: Iterable[TickBatch]) -> None:
    """Hand over batches as a feed does."""
    for batch in rows:
        await bus.append(ticks_log(batch.venue), batch.seq, batch.encode())


@contextlib.asynccontextmanager
async def running(
    journal: Journal, bus: Bus, told: Strategy, base: Path = Path(), **settings: Any
) -> AsyncIterator[BotRunner]:
    """The bot runs inside the block and is stopped at its end, as by Ctrl-C."""
    async with bots.running(bots.bot(Settings(told, base, **settings), journal, bus)) as runner:
        yield runner


async def processed(runner: BotRunner, seq: int) -> None:
    """Wait until the bot has handled a batch."""
    async with asyncio.timeout(60):
        while runner.session is None or runner.session.bot.progress.tick < seq:
            await asyncio.sleep(0.002)


__all__ = ["Bus", "batches", "manifest", "open_bus", "open_journal", "processed", "publish", "running"]
