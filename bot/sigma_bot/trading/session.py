"""One session of a bot: from the lease over recovery to the last tick. A session that fails leaves nothing
behind but the journal; the next one starts as after a crash, since there is only this one way to start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.journal import Journal
from sigma_bot.model.messages import CONTROL, trouble_topic, wants_topic
from sigma_bot.model.orders import NoticeRow
from sigma_bot.times import MINUTE, clock
from sigma_bot.trading.adapters import ExecutionAdapter
from sigma_bot.trading.bot import ChangeObserver, TradingBot
from sigma_bot.trading.controls import ControlsReader
from sigma_bot.trading.crash import point
from sigma_bot.trading.events import ControlsPolled
from sigma_bot.trading.history import HistoryClient
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.opening import OpenedBot, open_bot
from sigma_bot.trading.settings import Settings
from sigma_bot.trading.simulator import SimulatorAdapter
from sigma_bot.trading.tasks import Work, cancel_tasks
from sigma_bot.trading.ticks import Gap, TickReader

log = logging.getLogger(__name__)
SUBSCRIBE_S = 30.0
QUIET_S = 5.0
MOST_TROUBLE = 200
"""Characters of what a feed says."""
MAX_BATCHES_WAITING = 100
"""Batches in the mailbox after which the reader pauses: a thousand of 50 symbols take 25 MiB."""
SHORT_WARMUP_NS = MINUTE
"""A warm-up that ends so soon needs no notice: thin markets have no tick at its very beginning."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What every session of one process shares. ``observe`` is told each stored change."""

    journal: Journal
    bus: Bus
    settings: Settings
    observe: ChangeObserver
    heartbeat: Heartbeat
    metrics: BotMetrics


class Session:
    """Runs one opened bot: its loop, its reader, its lease, its controls, and the ``tasks`` of its mode."""

    def __init__(
        self,
        context: SessionContext,
        opened: OpenedBot,
        adapter: ExecutionAdapter,
        mailbox: Mailbox,
        controls: ControlsReader,
        tasks: tuple[Work, ...],
    ) -> None:
        self.journal, self.bus, self.metrics = context.journal, context.bus, context.metrics
        self.venue = context.settings.manifest.spec.account.venue
        self.opened, self.adapter, self.mailbox = opened, adapter, mailbox
        self.controls, self.tasks = controls, tasks
        self.trouble = ""  # why no tick comes, as far as it is known
        # a fresh run warms up on what the feed has kept and recorded, so that it may trade the sooner
        self.history = HistoryClient(self.bus, self.venue, opened.run.bot, opened.run.symbols)
        self.reader = TickReader(self.bus, self.venue, opened.after, opened.decisions.warmup, self.history)
        self.bot = TradingBot(
            opened,
            adapter,
            mailbox,
            controls,
            context.journal,
            context.observe,
            context.heartbeat,
            context.metrics,
            context.settings.manifest.spec.on_unprotected == "flatten",
        )

    async def run(self, *others: Work) -> None:
        """Until cancelled, or until something fails. ``others`` run with it."""
        await self.read_controls()  # a halt given while nobody ran comes before the first tick
        own: tuple[Work, ...] = (
            self.bot.loop,
            self._read_ticks,
            self.keep_lease,
            self._poll_controls,
            self._listen_for_controls,
            self._subscribe,
            self._hear_of_trouble,
        )
        tasks = [asyncio.create_task(work()) for work in (*own, *self.tasks, *others)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise RuntimeError(f"{done} came to an end, which none of a session's tasks does by itself")
        finally:
            await cancel_tasks(tasks)

    async def _read_ticks(self) -> None:
        first_tick_known = self.opened.after is not None
        async for item in self.reader.batches():
            if isinstance(item, Gap):
                self.metrics.gap(item.last - item.first + 1)
            elif not first_tick_known:
                first_tick_known = True
                await self.journal.begin_ticks(self.opened.lease, item.seq, item.ts)
            self.mailbox.put(item)
            while len(self.mailbox) > MAX_BATCHES_WAITING:
                await asyncio.sleep(0.01)

    async def keep_lease(self, renewed: Callable[[], None] = lambda: None) -> None:
        """Keep the lease, for ever; ``renewed`` is called each time it was prolonged."""
        lease = self.opened.lease
        while True:
            await asyncio.sleep(lease.ttl_s / 4)
            point("renew.before")
            await self.journal.renew(lease)
            point("renew.after")
            renewed()

    async def _poll_controls(self) -> None:
        known = False  # whether it is known when the warm-up ends
        while True:
            await self.read_controls()
            if not known and self.warmup_ends > time.time_ns() + SHORT_WARMUP_NS:
                self.mailbox.put(self._warmup_notice())
            known = known or self.warmup_ends > 0
            await asyncio.sleep(1.0)

    @property
    def warmup_ends(self) -> int:
        """When the warm-up is over, ns UTC; 0 before the first tick."""
        b = self.opened.decisions.broker
        return b.risk.trading_from if b.row >= 0 and self.opened.decisions.warmup else 0

    def _warmup_notice(self) -> NoticeRow:
        """Why the run can't trade yet, said once at each start."""
        begun = self.warmup_ends - self.opened.decisions.warmup
        text = (
            f"warm-up: no order before {clock(self.warmup_ends)} UTC; its ticks begin at {clock(begun)} UTC"
        )
        why = f": {self.history.reason}" if self.history.reason else ""
        return NoticeRow("state", "warm-up-short", text + why, self.opened.decisions.broker.ts)

    async def read_controls(self) -> None:
        """Read the controls now."""
        controls = await self.controls.read()
        self.mailbox.put(ControlsPolled(controls))
        if self.bot.flattened.is_set():
            for flatten in controls.flatten:
                await self.journal.done(self.opened.run.bot, flatten.id, time.time_ns())

    async def _listen_for_controls(self) -> None:
        """A message says that a control was given; without a bus it is read within a second anyway."""
        while True:
            try:
                async with self.bus.subscribe(CONTROL) as messages:
                    async for _ in messages:
                        await self.read_controls()
            except BusError as error:
                log.warning("controls: %s", error)
            await asyncio.sleep(1.0)

    async def _subscribe(self) -> None:
        run = self.opened.run
        while True:
            try:
                await self.bus.want(wants_topic(self.venue), run.bot, list(run.symbols), SUBSCRIBE_S)
            except BusError as error:
                log.warning("the feed can't be told what is needed: %s", error)
            await asyncio.sleep(SUBSCRIBE_S / 3)

    async def _hear_of_trouble(self) -> None:
        """While no tick of ours comes: why, as the feed tells it."""
        while True:
            await asyncio.sleep(1.0)
            progress = self.bot.progress
            if progress.row_at and time.monotonic() - progress.row_at < QUIET_S:
                self.trouble = ""
                continue
            try:
                told = await self.bus.wanted(trouble_topic(self.venue))
            except BusError as error:
                self.trouble = str(error)
                continue
            said = " ".join(text for texts in told.values() for text in texts)
            self.trouble = "".join(c for c in said[:MOST_TROUBLE] if c.isprintable())

    async def end(self) -> None:
        """Store the state and give the lease back. Nothing is sent after that."""
        await self.adapter.close()
        await self.bot.checkpoint()
        await self.journal.release(self.opened.lease)


@contextlib.asynccontextmanager
async def sim_session(context: SessionContext) -> AsyncIterator[Session]:
    """A SIM bot, opened."""
    opened = await open_bot(context.journal, context.settings)
    open_orders = [] if opened.loaded is None else opened.loaded.orders
    adapter = SimulatorAdapter(opened.decisions, opened.run, open_orders)
    controls = ControlsReader(context.journal, opened.run.bot)
    yield Session(context, opened, adapter, Mailbox(), controls, ())
