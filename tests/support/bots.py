"""A bot inside a test, without a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from sigma_bot.bus.interface import Bus
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.journal.journal import Journal
from sigma_bot.trading.runner import BotRunner, metrics_of
from sigma_bot.trading.settings import Settings
from sigma_bot.venues.types import VenueClient


def bot(
    settings: Settings, journal: Journal, bus: Bus, connect: Callable[[], VenueClient] | None = None
) -> BotRunner:
    """What `sigma run` makes of a manifest. ``connect`` gives a client of the venue for each session."""
    return BotRunner(settings, journal, bus, Heartbeat(), metrics_of(settings.manifest), connect)


@contextlib.asynccontextmanager
async def running(runner: BotRunner) -> AsyncIterator[BotRunner]:
    """It runs inside the block and is stopped at its end, as by Ctrl-C. Raises what ended it before."""
    task = asyncio.create_task(runner.run())
    try:
        yield runner
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
