"""The feed at the exchange emulator: the venue's whole protocol, and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal as D

import pytest

from sigma_bot.bus import Bus, open_bus
from sigma_bot.emulator.server import Emulator
from sigma_bot.feed.connection_manager import ReconnectPolicy
from sigma_bot.feed.feed import Feed
from sigma_bot.model.messages import TickBatch, TickMessage, decode_batch, ticks_log
from sigma_bot.retry import Backoff

VENUES = [("upbit", "KRW-BTC"), ("binance", "BTCUSDT")]
SOON = ReconnectPolicy(backoff=Backoff(0.01, maximum=0.05))


async def tick_where(
    bus: Bus, venue: str, holds: Callable[[TickMessage], bool]
) -> tuple[TickBatch, TickMessage]:
    """The first tick in the log, or from now on, for which something holds."""
    async with asyncio.timeout(20), bus.subscribe(ticks_log(venue)) as news:
        after = -1
        while True:
            for seq, payload in await bus.read(ticks_log(venue), after):
                batch, after = decode_batch(payload), seq
                for tick in batch.ticks:
                    if holds(tick):
                        return batch, tick
            await anext(news)


def set_book(emulator: Emulator, symbol: str, bid: int) -> None:
    emulator.exchange.set_book(symbol, {D(bid): D("1.5")}, {D(bid + 1000): D("0.5")})


@pytest.mark.parametrize(("venue", "symbol"), VENUES)
async def test_book_trades_and_a_cut(venue: str, symbol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator(venue, [symbol]) as emulator:
        monkeypatch.setenv("SIGMA_VENUE_URL", emulator.url)
        set_book(emulator, symbol, 50_000_000)
        bus = open_bus("memory://")
        feed = Feed(venue, bus, [symbol], policy=SOON)
        task = asyncio.create_task(feed.run())
        # Nothing moves: the first quote comes with subscribing (Upbit) or by asking (Binance).
        _, tick = await tick_where(bus, venue, lambda t: t.bid == 50_000_000)
        assert (tick.ask, tick.bid_size, tick.ask_size) == (50_001_000, 1.5, 0.5)
        emulator.exchange.trade(symbol, D(50_001_000), D("0.25"), "buy")
        _, tick = await tick_where(bus, venue, lambda t: t.volume > 0)
        assert (tick.last, tick.volume) == (50_001_000, 0.25)
        assert abs(tick.exchange_ts - tick.received_ts) < 10**9
        emulator.cut_sockets()
        async with asyncio.timeout(20):
            while feed.counters.connections < 2:
                await asyncio.sleep(0.01)
        set_book(emulator, symbol, 51_000_000)
        batch, _ = await tick_where(bus, venue, lambda t: t.bid == 51_000_000)
        task.cancel()
        await asyncio.wait({task})
    batches = [decode_batch(payload) for _, payload in await bus.read(ticks_log(venue), -1)]
    marked = [b.seq for b in batches if b.gaps]
    assert len(marked) == 1
    assert marked[0] <= batch.seq
    assert (feed.counters.reconnects, feed.counters.malformed, feed.counters.refusals) == (1, 0, 0)
    volume = sum(t.volume for b in batches for t in b.ticks)
    assert volume == 0.25  # also where the newest trade is repeated after subscribing
