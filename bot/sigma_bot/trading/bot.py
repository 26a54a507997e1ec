"""TradingBot: one strategy, one account, one mailbox.

Ticks, the venue's answers, controls and timers are handled one by one. What a step changes is stored in one
transaction together with the state it leaves, and only then sent and published. So a bot that is killed at
any instant goes on from its last stored step, and everything that it ever sent is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sigma_bot.errors import SigmaError, StrategyError
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.logs import about
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.types import Action, Controls
from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import Change, NoticeRow
from sigma_bot.runtime import checkpoint
from sigma_bot.runtime.decision_engine import FLATTEN_ATTEMPTS
from sigma_bot.runtime.equity import EquitySampler
from sigma_bot.trading.adapters import ExecutionAdapter
from sigma_bot.trading.approval import RECHECK_AFTER_S
from sigma_bot.trading.controls import ControlsReader
from sigma_bot.trading.crash import point
from sigma_bot.trading.events import ControlsPolled
from sigma_bot.trading.mailbox import Item, Mailbox
from sigma_bot.trading.opening import OpenedBot
from sigma_bot.trading.protection import UNPROTECTED
from sigma_bot.trading.ticks import Gap

log = logging.getLogger(__name__)
CHECKPOINT_S = 5.0
NEEDS_REVIEW = "needs-review"
"""An order that only a human can settle: nothing new is ordered before that."""


class RestartError(SigmaError):
    """The session ends as it should; the next one begins at once."""


class StrategyStoppedError(RestartError):
    """The strategy raised. It is stored why; the bot starts again without calling it."""


@dataclass(slots=True)
class BotProgress:
    """What the outside wants to know of a bot, kept up to date by its steps."""

    batches: int = 0
    tick: int = 0
    tick_ts: int = 0
    commits: int = 0
    row: int = -1  # ticks of its own markets, less one
    row_at: float = 0.0
    halted: str = ""


ChangeObserver = Callable[["TradingBot", Change, int], None]
"""Called after every stored change with the number of its commit: broadcast, metrics, logs."""


class TradingBot:
    """The actor. ``adapter`` is the mode's execution; ``flatten_unprotected`` closes what is held when a
    position loses its exit."""

    def __init__(
        self,
        opened: OpenedBot,
        adapter: ExecutionAdapter,
        mailbox: Mailbox,
        controls: ControlsReader,
        journal: Journal,
        observe: ChangeObserver,
        heartbeat: Heartbeat,
        metrics: BotMetrics,
        flatten_unprotected: bool = False,
    ) -> None:
        self.flatten_unprotected = flatten_unprotected
        self.decisions, self.run = opened.decisions, opened.run
        self.lease, self.inputs = opened.lease, opened.inputs
        self.last, self.code_digest = opened.after or 0, opened.digest
        self.equity = EquitySampler(opened.decisions.broker.ts, opened.run.precision)
        self.adapter, self.mailbox, self.controls, self.journal = adapter, mailbox, controls, journal
        self.observe, self.heartbeat, self.metrics = observe, heartbeat, metrics
        # only a tick of this session's own says that ticks come
        self.progress = BotProgress(tick=self.last, row=opened.decisions.broker.row)
        self.committed_at = time.monotonic()
        self.batch_at = self.committed_at
        self.uncommitted = False
        self.flattening = self.cancelling = False
        self.step_complete = True  # no step is under way
        self.deferred: Change | None = None  # what is stored with the next batch at the latest
        self.step_began = self.committed_at
        self.flattened: asyncio.Event = asyncio.Event()

    async def loop(self) -> None:
        """Handle what comes, for ever. Raises what the journal, the lease or a fault of ours raises."""
        while True:
            await self.handle(await self.mailbox.get())

    async def drain(self) -> None:
        """Handle what is waiting now."""
        while group := self.mailbox.take():
            await self.handle(group)

    async def handle(self, group: list[Item]) -> None:
        """One step: a batch of ticks, or everything that came between two."""
        first = group[0]
        with about(tick=first.seq if isinstance(first, TickBatch) else self.last):
            await self._step(group)

    async def _step(self, group: list[Item]) -> None:
        self.heartbeat.beat()
        self.step_complete, self.step_began = False, time.monotonic()
        change = self.deferred or Change(tick=self.last, ts=self.decisions.broker.ts)
        self.deferred = None
        try:
            for item in group:
                self._apply(item, change)
        except StrategyError as error:
            await self._on_strategy_error(error)
        if self.flattening:
            self._flatten(change)
        if self.cancelling:
            self.decisions.cancel_all()
        self.adapter.collect(change)
        timed = any(isinstance(item, TickBatch | ControlsPolled) for item in group)
        if change.can_wait() and not timed and not self.adapter.has_outgoing():
            self.deferred = change
        else:
            await self._commit_if_due(change)
        self.step_complete = True

    def _apply(self, item: Item, change: Change) -> None:
        if isinstance(item, TickBatch):
            row, change.tick = self.decisions.broker.row, item.seq
            self._on_ticks(item)
            if self.decisions.broker.row > row:  # a batch without a tick of ours is no tick
                change.ts = item.ts
        elif isinstance(item, Gap):
            self.inputs.add(change, "gap", {"first": item.first, "last": item.last})
        elif isinstance(item, ControlsPolled):
            self._on_controls(item.controls, change)
        elif isinstance(item, NoticeRow):
            change.notices.append(item)
        else:
            self.adapter.on_event(item, change)
            self.heartbeat.run_callback("on_fill", self.decisions.deliver_fills)

    def _on_ticks(self, batch: TickBatch) -> None:
        began = time.monotonic()
        self.last = batch.seq
        self.metrics.batch(len(batch.ticks), (time.time_ns() - batch.ts) / 1e9)
        self.adapter.on_ticks(batch)
        self.heartbeat.run_callback("a callback of the strategy", self.decisions.handle, batch)
        self.progress.batches += 1
        if self.decisions.broker.row != self.progress.row:
            self.progress.row, self.progress.row_at = self.decisions.broker.row, time.monotonic()
        self.uncommitted = True
        self.batch_at = time.monotonic()
        self.metrics.step(self.batch_at - began)

    def _on_controls(self, controls: Controls, change: Change) -> None:
        """Take over halts, resumes and flattens."""
        reason = controls.halted_by.reason if controls.halted_by is not None else ""
        halted = int(controls.halted_by is not None)
        risk = self.decisions.broker.risk
        if halted != risk.halted:
            risk.halted = halted
            self.inputs.add(change, "halt" if halted else "resume", {"reason": reason})
            what = "halted" if halted else "resumed"
            change.notices.append(NoticeRow("state", what, reason or what, change.ts))
            if not halted:
                self.decisions.suspended_from = None
        self.adapter.set_halted(bool(halted))
        self.progress.halted = reason or ("halted" if halted else "")
        if controls.flatten and not self.flattening:
            self.inputs.add(change, "flatten", {"reason": controls.flatten[0].reason})
        if self.flattening and not controls.flatten and not self.flattened.is_set():
            self.inputs.add(change, "unflatten", {})  # a resume came first
        self.flattening = bool(controls.flatten)
        if not self.flattening:
            self.flattened.clear()
            self.decisions.close_attempts.clear()

    def _flatten(self, change: Change) -> None:
        """One step towards nothing held; what the venue refuses again and again is left to a human."""
        if not self.decisions.flatten():
            return
        if not self.flattened.is_set() and not self.decisions.flat:
            held = ", ".join(self.decisions.held_symbols())
            text = f"flatten: {held} can't be sold (too small, or refused {FLATTEN_ATTEMPTS} times)"
            change.notices.append(NoticeRow("alert", "not-flat", text, change.ts))
        self.flattened.set()

    async def _commit_if_due(self, change: Change) -> None:
        due = self.uncommitted and time.monotonic() - self.committed_at > CHECKPOINT_S
        if change or due or self.adapter.has_outgoing():
            await self._commit(change)
        self.progress.tick, self.progress.tick_ts = self.last, self.decisions.broker.ts

    async def _commit(self, change: Change) -> None:
        """State and effects in one transaction; then what it allows is sent and published."""
        change.state = checkpoint.dump(self.decisions.broker, self.decisions.strategy, self.adapter.state())
        change.code_digest = self.code_digest
        change.equity += self.equity.sample(self.decisions.broker)
        point("commit.before")
        began = time.monotonic()
        limits = None
        if self.adapter.needs_account_usage():
            limits = partial(self.adapter.apply_account_limits, change)
        number = await self.journal.commit(self.lease, change, limits)
        point("commit.after")
        self.committed_at, self.uncommitted = time.monotonic(), False
        self.metrics.commit(self.committed_at - began)
        self.progress.commits = number
        for notice in change.notices:
            if notice.code == NEEDS_REVIEW:
                await self._halt(notice.text)
            elif notice.code == UNPROTECTED and self.flatten_unprotected:
                await self._control("flatten", notice.text)
        if time.monotonic() - self.step_began > RECHECK_AFTER_S:
            await self.refresh_halt()  # the strategy took its time, and a halt may have been given meanwhile
        self.adapter.on_committed()
        self.observe(self, change, number)

    async def refresh_halt(self) -> None:
        """Let what is not yet sent heed a halt that stands now."""
        controls = await self.controls.read()
        self.adapter.set_halted(controls.halted_by is not None)

    async def _on_strategy_error(self, error: StrategyError) -> None:
        """Store why the strategy stopped, and nothing of what its last call did."""
        self.adapter.set_halted(True)  # at once: what it ordered before is perhaps not sent yet
        change = Change(tick=self.last, ts=self.decisions.broker.ts)
        self.inputs.add(change, "raised", {"error": str(error)})
        change.notices.append(NoticeRow("alert", "strategy-raised", str(error), change.ts))
        # a callback that did not return may have outlasted the lease; nobody else took it, or this says so
        await self.journal.renew(self.lease)
        await self.journal.commit(self.lease, change)
        reason = str(error).splitlines()[0]
        await self._halt(reason)
        raise StrategyStoppedError(str(error)) from error

    async def _halt(self, reason: str) -> None:
        await self._control("halt", reason)

    async def _control(self, action: Action, reason: str) -> None:
        await self.journal.control("strategy", self.run.bot, action, reason, by="bot", now=time.time_ns())

    async def checkpoint(self) -> None:
        """Store the state as it stands. A step that was broken off is not: its effects are not stored."""
        if self.step_complete and (self.uncommitted or self.deferred is not None):
            await self._commit(self.deferred or Change(tick=self.last, ts=self.decisions.broker.ts))
