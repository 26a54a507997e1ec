"""A bot as a process: what it connects to, its health port, its signals and its exit code.

Exit codes: 0 ended as asked, 2 bad input, 3 the strategy cannot start, 4 another process holds the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from sigma_bot.bus import MEMORY, bus_url, open_bus
from sigma_bot.database.errors import UnreachableError
from sigma_bot.errors import SigmaError
from sigma_bot.health.heartbeat import Heartbeat, measure_lag
from sigma_bot.health.logs import about, configure
from sigma_bot.health.server import HealthServer, Pages, health_address
from sigma_bot.health.watchdog import Watchdog
from sigma_bot.journal import open_journal
from sigma_bot.journal.errors import LeaseHeldError
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.types import Action, Controls
from sigma_bot.paths import bot_home
from sigma_bot.trading.opening import CLOSED_BY
from sigma_bot.trading.runner import BotRunner, banner, metrics_of
from sigma_bot.trading.settings import Settings, bot_name
from sigma_bot.trading.tasks import cancel_tasks

if TYPE_CHECKING:
    from sigma_bot.feed.feed import Feed

log = logging.getLogger("sigma_bot")
TERMINATION_LOG = Path("/dev/termination-log")
LEASE_HELD = 4
DATABASE_WAIT_S = 30.0


@dataclass(frozen=True)
class Places:
    """Where a bot finds things; None takes the environment's value, else the embedded default."""

    database: str | None = None
    bus: str | None = None
    health_port: int | None = None
    recording: Path | None = None


def serve(settings: Settings, places: Places, close: str | None = None) -> int:
    """Run a bot until it is told to end; the exit code. With ``close`` it only settles its account so."""
    configure()
    try:
        return uvloop.run(_serve(replace(settings, closing=close is not None), places, close))
    except LeaseHeldError as error:
        write_termination_message(LEASE_HELD, str(error))
        log.error("%s", error)
        return LEASE_HELD
    except SigmaError as error:
        write_termination_message(error.exit_code, str(error))
        raise


def write_termination_message(code: int, message: str) -> None:
    """Leave the reason where a cluster looks for it."""
    if "KUBERNETES_SERVICE_HOST" in os.environ or "SIGMA_NAMESPACE" in os.environ:
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(json.dumps({"error": {"code": code, "message": message[:4000]}}))


async def _serve(settings: Settings, places: Places, close: str | None) -> int:
    manifest = settings.manifest
    log.info("%s", banner(manifest))
    where = bus_url(places.bus)
    embedded = where == MEMORY
    own = bot_home(bot_name(manifest))
    async with await wait_for_journal(places.database) as journal:
        bus = open_bus(where, own / "spool" if embedded else None)
        connect = None
        if manifest.spec.mode == "live":
            from sigma_bot.venues.open import connector

            connect = connector(manifest.spec.account.venue, None if embedded else where)
        runner = BotRunner(settings, journal, bus, Heartbeat(), metrics_of(manifest), connect)
        feed = None
        if embedded:
            from sigma_bot.feed.feed import Feed

            feed = Feed(manifest.spec.account.venue, bus, (), places.recording or own / "ticks")
            runner.feed_readiness = feed.readiness
        try:
            with health_endpoints(runner, places, UnseenControls(runner, places.database)):
                return await _run(runner, journal, feed, close)
        finally:
            await bus.close()


async def wait_for_journal(url: str | None) -> Journal:
    """The journal; a server that can't be reached yet is waited for. Raises StorageError after half a minute,
    at once when the database can't be used at all."""
    end = time.monotonic() + DATABASE_WAIT_S
    while True:
        try:
            return await open_journal(url)
        except UnreachableError as error:
            if time.monotonic() > end:
                raise
            log.warning("%s; trying again", error)
            await asyncio.sleep(1.0)


@dataclass(frozen=True)
class UnseenControls:
    """A halt or flatten that the bot has not read, since a callback keeps its loop; read by a connection of
    its own."""

    runner: BotRunner
    database: str | None

    def __call__(self) -> str:
        """What was given, in words."""
        session = self.runner.session
        if session is None:
            return ""
        try:
            controls = asyncio.run(self._read(session.bot.run.bot))
        except SigmaError as error:
            log.warning("%s", error)
            return ""
        if controls.flatten and not session.bot.flattening:
            return f"flatten was given meanwhile by {controls.flatten[0].by}"
        if controls.halted_by is not None and not session.bot.progress.halted:
            return f"halt was given meanwhile by {controls.halted_by.by}"
        return ""

    async def _read(self, bot: str) -> Controls:
        async with await open_journal(self.database, create=False) as journal:
            return await journal.controls_for(bot)


@contextlib.contextmanager
def health_endpoints(runner: BotRunner, places: Places, unseen: Callable[[], str]) -> Iterator[None]:
    """Health port and watchdog around a run."""
    address = health_address()
    if places.health_port is not None:
        address = ("127.0.0.1", places.health_port) if places.health_port else None
    pages = Pages(runner.heartbeat, runner.ready, runner.facts, runner.metrics.text)
    runner.metrics.follow(runner.heartbeat.age_s)
    server = None if address is None else HealthServer(pages, address[1], address[0])
    watchdog = Watchdog(runner.heartbeat, pending=unseen)
    with about(strategy=runner.name):  # its thread logs of this bot
        watchdog.start()
    try:
        if server is not None:
            server.start()
        yield
    finally:
        if server is not None:
            server.close()
        watchdog.close()


async def _run(runner: BotRunner, journal: Journal, feed: Feed | None, close: str | None) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(runner.run())
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    others: list[asyncio.Task[object]] = [
        asyncio.create_task(asked.wait()),
        asyncio.create_task(measure_lag(runner.metrics.lag)),
    ]
    if feed is not None:
        others.append(asyncio.create_task(feed.run()))
    if close is not None:
        others.append(asyncio.create_task(close_account(runner, journal, close)))
    try:
        done, _ = await asyncio.wait({work, *others}, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if not task.cancelled() and task.exception() is not None]
    finally:
        for task in (work, *others):  # the bot first: its state is stored while its bus is still there
            await cancel_tasks([task], again_s=5.0)
    for task in failed:
        task.result()
    log.info("stopped; run it again to go on")
    return 0


async def close_account(runner: BotRunner, journal: Journal, policy: str) -> None:
    """Bring the account to its end by ``policy``, then return. What can't be sold is left."""
    if policy == "leave":
        return
    bot = bot_name(runner.settings.manifest)
    action: Action = "flatten" if policy == "flatten" else "halt"
    given = await journal.control("strategy", bot, action, "closed", by=CLOSED_BY, now=time.time_ns())
    while True:
        await asyncio.sleep(0.05)
        session = runner.session
        if session is None or not session.bot.progress.halted:
            continue
        if policy == "cancel":
            session.bot.cancelling = True
            done = session.bot.decisions.broker.n_active == 0
        else:
            done = given not in (await journal.controls_for(bot)).flatten
        if done and session.bot.step_complete:
            break
    await session.read_controls()
    if policy == "flatten" and not session.bot.decisions.flat:
        log.warning("closed, but still held: %s", ", ".join(session.bot.decisions.held_symbols()))
