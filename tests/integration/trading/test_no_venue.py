"""A bot whose venue can't be reached says so, and why, wherever a trader looks."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from sigma_bot.bus.interface import Bus
from sigma_bot.feed.feed import Feed
from sigma_bot.journal import Filter
from sigma_bot.journal.journal import Journal
from sigma_bot.trading import runner as runners
from sigma_bot.trading.runner import BotRunner
from sigma_bot.trading.settings import Settings
from sigma_bot.venues.ccxt_client import URL_VARIABLE
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.open import open_venue
from tests.integration.trading.sim_rig import batches, manifest, open_bus, open_journal, publish
from tests.integration.trading.test_live_bot import live_manifest
from tests.support import bots, servers


@pytest.fixture
def closed() -> str:
    """The address of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


async def alert(journal: Journal, name: str) -> str:
    """Wait for an alert of a bot; its code and text."""
    async with asyncio.timeout(30):
        while True:
            for entry in await journal.notices(Filter()):
                if entry.bot == name and entry.row.kind == "alert":
                    return f"{entry.row.code}: {entry.row.text}"
            await asyncio.sleep(0.02)


async def test_a_restarted_bot_is_not_ready_before_a_tick_of_its_own(tmp_path, monkeypatch, closed, caplog):
    monkeypatch.setattr(runners, "STEADY_S", 0.1)
    bus: Bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        told = manifest()
        first = bots.bot(Settings(told, Path()), journal, bus)
        async with bots.running(first):
            async with asyncio.timeout(30):  # a new bot begins with the first batch it hears
                for batch in batches([60e6] * 1000):
                    await publish(bus, [batch])
                    await asyncio.sleep(0.01)
                    if first.session is not None and first.session.bot.progress.row >= 3:
                        break
        (before,) = await journal.bots()
        monkeypatch.setenv(URL_VARIABLE, closed)
        feed = Feed("upbit", bus)
        again: BotRunner = bots.bot(Settings(told, Path()), journal, bus)
        again.feed_readiness = feed.readiness
        async with bots.running(again):
            feeding = asyncio.create_task(feed.run())
            text = await alert(journal, "cross")
            assert text.startswith("no-ticks: no ticks of KRW-BTC: upbit: ")
            assert "connect" in text.lower()
            ready = again.ready()
            assert (ready.ready, ready.reason) == (False, "NotConnected")
            assert again.facts()["ticks"], "batches come all the while"
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        (after,) = await journal.bots()
        assert after.ts == before.ts, "the last tick is the last tick"
        assert text.partition(": ")[2] in caplog.text
    await bus.close()


async def test_a_feed_of_another_process_tells_its_trouble(tmp_path, monkeypatch, closed):
    monkeypatch.setattr(runners, "STEADY_S", 0.1)
    monkeypatch.setenv(URL_VARIABLE, closed)
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        feeding = asyncio.create_task(Feed("upbit", bus).run())
        bot = bots.bot(Settings(manifest(), Path()), journal, bus)
        async with bots.running(bot), asyncio.timeout(30):
            while "connect" not in bot.ready().message.lower():
                await asyncio.sleep(0.02)
            assert bot.ready().reason == "WaitingForTicks"
            while "connect" not in (await alert(journal, "cross")).lower():
                await asyncio.sleep(0.02)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    await bus.close()


async def test_a_live_bot_without_its_venue_tells_the_reason_in_the_journal(tmp_path, closed):
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        bot = bots.bot(
            Settings(live_manifest("binance"), Path()),
            journal,
            bus,
            lambda: open_venue("binance", Keys("k", "s"), LocalLimiter("binance"), closed),
        )
        async with bots.running(bot):
            text = await alert(journal, "script")
            assert text.startswith("venue-unreachable: binance: ")
            async with asyncio.timeout(30):
                while bot.ready().reason != "VenueUnreachable":
                    await asyncio.sleep(0.02)
                while bot.sessions < 2:
                    await asyncio.sleep(0.02)
        assert len([e for e in await journal.notices(Filter("script")) if e.row.kind == "alert"]) == 1
    await bus.close()
