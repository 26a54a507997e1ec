"""TradingBot: one strategy, one account, one mailbox.

Ticks, the venue's answers, controls and timers are handled one by one. What a step changes is stored in one
transaction together with the state it leaves, and only then sent and told. So a bot that is killed at any
instant goes on from its last stored step, and everything that it ever sent is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sigma_bot.errors import SigmaError, StrategyError
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.health.pulse import Pulse
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.types import Controls
from sigma_bot.model.conversion import Run
from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import Change, Inputs, NoticeRow
from sigma_bot.runtime import checkpoint as state
from sigma_bot.runtime.decision_engine import FLATTEN_TRIES, Core
from sigma_bot.trading.approval import LONG_S
from sigma_bot.trading.crash import point
from sigma_bot.trading.desk import Desk
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.ticks import Gap

log = logging.getLogger(__name__)
CHECKPOINT_S = 5.0
PARKED = "parked"
"""An order that only a human can settle: nothing new is ordered before that."""


class RestartError(SigmaError):
    """The session ends as it should; the next one begins at once."""


class StrategyStoppedError(RestartError):
    """The strategy raised. It is stored why; the bot starts again without calling it."""


@dataclass(frozen=True, slots=True)
class Tock:
    """A second has passed; ``controls`` as they stand now."""

    controls: Controls


@dataclass(slots=True)
class Progress:
    """What the outside wants to know of a bot, kept up to date by its steps."""

    batches: int = 0
    tick: int = 0
    tick_ts: int = 0
    commits: int = 0
    row: int = -1  # ticks of its own markets, less one
    row_at: float = 0.0
    halted: str = ""


Watcher = Callable[["TradingBot", Change, int], None]
"""Called after every stored change with the number of its commit: broadcast, metrics, logs."""


class TradingBot:
    """The actor. ``desk`` is the mode's part."""

    def __init__(
        self,
        core: Core,
        run: Run,
        desk: Desk,
        journal: Journal,
        lease: Lease,
        inputs: Inputs,
        last: int,
        code_digest: str,
        watch: Watcher,
        pulse: Pulse,
        metrics: BotMetrics,
    ) -> None:
        self.core, self.run, self.desk = core, run, desk
        self.journal, self.lease, self.inputs = journal, lease, inputs
        self.last, self.code_digest, self.watch = last, code_digest, watch
        self.pulse, self.metrics = pulse, metrics
        self.mailbox = Mailbox()
        self.told = Progress(tick=last)
        self.stored_at = time.monotonic()
        self.batch_at = self.stored_at
        self.unstored = False
        self.flattening = self.cancelling = False
        self.whole = True  # no step is under way
        self.waiting: Change | None = None  # what is stored with the next batch at the latest
        self.began = self.stored_at
        self.flat: asyncio.Event = asyncio.Event()

    def post(self, item: Any) -> None:
        """Put something into the mailbox."""
        self.mailbox.put(item)

    async def loop(self) -> None:
        """Handle what comes, for ever. Raises what the journal, the lease or a fault of ours raises."""
        while True:
            await self.handle(await self.mailbox.get())

    async def drain(self) -> None:
        """Handle what is waiting now."""
        while group := self.mailbox.take():
            await self.handle(group)

    async def handle(self, group: list[Any]) -> None:
        """One step: a batch of ticks, or everything that came between two."""
        self.pulse.touch()
        self.whole, self.began = False, time.monotonic()
        change = self.waiting or Change(tick=self.last, ts=self.core.broker.ts)
        self.waiting = None
        try:
            for item in group:
                self._take(item, change)
        except StrategyError as error:
            await self._stop(error)
        if self.flattening:
            self._flatten(change)
        if self.cancelling:
            self.core.cancel_all()
        self.desk.collect(change)
        timed = any(isinstance(item, TickBatch | Tock) for item in group)
        if change.can_wait() and not timed and not self.desk.waiting():
            self.waiting = change
        else:
            await self._store(change)
        self.whole = True

    def _take(self, item: Any, change: Change) -> None:
        if isinstance(item, TickBatch):
            change.tick, change.ts = item.seq, item.ts
            self._batch(item)
        elif isinstance(item, Gap):
            self.inputs.add(change, "gap", {"first": item.first, "last": item.last})
        elif isinstance(item, Tock):
            self._control(item.controls, change)
        elif isinstance(item, NoticeRow):
            change.notices.append(item)
        else:
            self.desk.fact(item, change)
            self.pulse.call("on_fill", self.core.tell)

    def _batch(self, batch: TickBatch) -> None:
        began = time.monotonic()
        self.last = batch.seq
        self.metrics.batch(len(batch.ticks), (time.time_ns() - batch.ts) / 1e9)
        self.desk.tick(batch)
        self.pulse.call("a callback of the strategy", self.core.run, batch)
        self.told.batches += 1
        if self.core.broker.row != self.told.row:
            self.told.row, self.told.row_at = self.core.broker.row, time.monotonic()
        self.unstored = True
        self.batch_at = time.monotonic()
        self.metrics.step(self.batch_at - began)

    def _control(self, controls: Controls, change: Change) -> None:
        """Take over halts, resumes and flattens."""
        reason = controls.halted_by.reason if controls.halted_by is not None else ""
        halted = int(controls.halted_by is not None)
        risk = self.core.broker.risk
        if halted != risk.halted:
            risk.halted = halted
            self.inputs.add(change, "halt" if halted else "resume", {"reason": reason})
            what = "halted" if halted else "resumed"
            change.notices.append(NoticeRow("state", what, reason or what, change.ts))
            if not halted:
                self.core.silent_from = None
        self.desk.halt(bool(halted))
        self.told.halted = reason or ("halted" if halted else "")
        if controls.flatten and not self.flattening:
            self.inputs.add(change, "flatten", {"reason": controls.flatten[0].reason})
        if self.flattening and not controls.flatten and not self.flat.is_set():
            self.inputs.add(change, "unflatten", {})  # a resume came first
        self.flattening = bool(controls.flatten)
        if not self.flattening:
            self.flat.clear()
            self.core.tries.clear()

    def _flatten(self, change: Change) -> None:
        """One step towards nothing held; what the venue refuses again and again is left to a human."""
        if not self.core.flatten():
            return
        if not self.flat.is_set() and not self.core.flat:
            held = ", ".join(self.core.held())
            text = f"flatten: {held} can't be sold (too small, or refused {FLATTEN_TRIES} times)"
            change.notices.append(NoticeRow("alert", "not-flat", text, change.ts))
        self.flat.set()

    async def _store(self, change: Change) -> None:
        due = self.unstored and time.monotonic() - self.stored_at > CHECKPOINT_S
        if change or due or self.desk.waiting():
            await self._commit(change)
        self.told.tick, self.told.tick_ts = self.last, self.core.broker.ts

    async def _commit(self, change: Change) -> None:
        """State and effects in one transaction; then what it lets go is sent and told."""
        change.state = state.dump(self.core.broker, self.core.strategy, self.desk.memory())
        change.code_digest = self.code_digest
        point("commit.before")
        began = time.monotonic()
        admit = partial(self.desk.admit, change) if self.desk.asks() else None
        number = await self.journal.commit(self.lease, change, admit)
        point("commit.after")
        self.stored_at, self.unstored = time.monotonic(), False
        self.metrics.commit(self.stored_at - began)
        self.told.commits = number
        for notice in change.notices:
            if notice.code == PARKED:
                await self._halt(notice.text)
        if time.monotonic() - self.began > LONG_S:
            await self.look()  # the strategy took its time, and a halt may have been given in it
        self.desk.stored()
        self.watch(self, change, number)

    async def look(self) -> None:
        """Let what is not yet sent heed a halt that stands now."""
        controls = await self.journal.controls_for(self.run.bot)
        self.desk.halt(controls.halted_by is not None)

    async def _stop(self, error: StrategyError) -> None:
        """Store why the strategy stopped, and nothing of what its last call did."""
        self.desk.halt(True)  # at once: what it ordered before is perhaps not sent yet
        change = Change(tick=self.last, ts=self.core.broker.ts)
        self.inputs.add(change, "raised", {"error": str(error)})
        change.notices.append(NoticeRow("alert", "strategy-raised", str(error), change.ts))
        # a callback that did not return may have outlasted the lease; nobody else took it, or this says so
        await self.journal.renew(self.lease)
        await self.journal.commit(self.lease, change)
        reason = str(error).splitlines()[0]
        await self._halt(reason)
        raise StrategyStoppedError(str(error)) from error

    async def _halt(self, reason: str) -> None:
        await self.journal.control("strategy", self.run.bot, "halt", reason, by="bot", now=time.time_ns())

    async def checkpoint(self) -> None:
        """Store the state as it stands. A step that was broken off is not: its effects are not stored."""
        if self.whole and (self.unstored or self.waiting is not None):
            await self._commit(self.waiting or Change(tick=self.last, ts=self.core.broker.ts))
