"""What SIM and LIVE do differently with a step of the bot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from sigma_bot.engine import external
from sigma_bot.engine.types import DAY, E_CANCEL, MINUTE, R_ACCOUNT, SECOND, Order
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.lease import Lease
from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import LIVING, Change, NoticeRow, OrderRow, State, Usage
from sigma_bot.model.units import price_of, quantity_of
from sigma_bot.runtime.decision_engine import Core
from sigma_bot.trading.approval import Refusal, RiskGate
from sigma_bot.trading.executor import (
    Adopt,
    Bug,
    CancelFailed,
    Fact,
    OrderExecutor,
    Outcome,
    Reconciled,
    Told,
)
from sigma_bot.trading.limits import AccountLimits
from sigma_bot.trading.live import LATER, LiveBook, Missing
from sigma_bot.trading.simulator import SimulatorExecutor

log = logging.getLogger(__name__)
USAGE_NS = SECOND


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a human should look at."""

    code: str
    text: str
    symbol: str


class Desk(Protocol):
    """The mode's part of a bot. Nothing here waits: what takes time is posted to the mailbox."""

    def tick(self, batch: TickBatch) -> None:
        """A batch is about to be handled."""

    def fact(self, fact: Fact | Alert, change: Change) -> None:
        """Something other than a tick or a control came."""

    def halt(self, halted: bool) -> None:
        """Trading is halted or goes on."""

    def collect(self, change: Change) -> None:
        """Put what the engine did into ``change``."""

    def asks(self) -> bool:
        """Whether what the account's other bots use decides on what is stored now."""

    def admit(self, change: Change, others: list[Usage]) -> None:
        """Inside the transaction: take out of ``change`` what the account's limits refuse."""

    def waiting(self) -> bool:
        """Whether something is to be sent once the step is stored, even if nothing else changed."""

    def stored(self) -> None:
        """The step is stored: send."""

    def memory(self) -> dict[str, Any]:
        """What a checkpoint must hold besides engine and strategy."""


class SimDesk:
    """A virtual account."""

    def __init__(self, simulator: SimulatorExecutor) -> None:
        self.simulator = simulator

    def tick(self, batch: TickBatch) -> None:
        """The wall clock counts for nothing here: a late tick is handled as a backtest would."""

    def fact(self, fact: Fact | Alert, change: Change) -> None:
        """A simulator has nobody to hear from."""
        raise TypeError(f"a simulated account was told {fact} in {change}")

    def halt(self, halted: bool) -> None:
        """The engine's own check is enough."""

    def collect(self, change: Change) -> None:
        """Orders and fills of the step."""
        self.simulator.collect(change)

    def asks(self) -> bool:
        """A virtual account has no others."""
        return False

    def admit(self, change: Change, others: list[Usage]) -> None:
        """A virtual account is nobody else's."""

    def waiting(self) -> bool:
        """There is nobody to send to."""
        return False

    def stored(self) -> None:
        """Everything has happened already."""

    def memory(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class LiveDesk:
    """A real account."""

    def __init__(
        self,
        core: Core,
        book: LiveBook,
        executor: OrderExecutor,
        gate: RiskGate,
        lease: Lease,
        limits: AccountLimits,
        adopt: Callable[[Adopt], None],
        metrics: BotMetrics,
    ) -> None:
        self.core, self.book, self.executor, self.gate = core, book, executor, gate
        self.lease, self.limits, self.adopt, self.metrics = lease, limits, adopt, metrics
        self.sends: list[OrderRow] = []
        self.cancels: list[OrderRow] = []
        self.foreign = 0
        self.opened: dict[int, int] = {}
        self.alerted: set[tuple[str, str]] = set()
        self.used_at = 0

    def tick(self, batch: TickBatch) -> None:
        """Orders are judged by how old this batch is."""
        self.gate.tick_ts = batch.ts

    def fact(self, fact: Fact | Alert, change: Change) -> None:
        """Book what the venue said."""
        now = self.gate.now()
        if isinstance(fact, Bug):
            raise fact.error
        if isinstance(fact, Alert):
            if (fact.code, fact.text) not in self.alerted:
                self.alerted.add((fact.code, fact.text))
                change.notices.append(NoticeRow("alert", fact.code, fact.text, now, 0, fact.symbol))
            return
        if isinstance(fact, Reconciled):
            self.foreign = fact.foreign
            return
        if isinstance(fact, Adopt):
            self.adopt(fact)
            return
        row = self.book.rows.get(fact.client_id)
        if row is None:
            if isinstance(fact, Told) and fact.order is not None:
                self.adopt(Adopt(fact.order))
            return
        if isinstance(fact, Told):
            self._told(fact, row, change)
        elif isinstance(fact, Outcome):
            if fact.state is State.UNKNOWN and row.state is not State.INTENT:
                return  # the private stream was faster than the answer that got lost
            self.book.refused(change, row, fact.state, fact.reason, now, fact.code)
        elif isinstance(fact, CancelFailed):
            log.warning("cancel of %s: %s", row.client_id, fact.reason)
            self.book.kept(row)

    def _told(self, fact: Told, row: OrderRow, change: Change) -> None:
        before = row.state
        missing = self.book.settle(change, row, fact.order, fact.fills, self.gate.now())
        if isinstance(missing, Missing):
            self.executor.ask_fills(missing.order, row.client_id)
        if before is State.ABSENT and row.state in LIVING:
            self.cancels.append(row)  # the strategy was told that it is gone: it must not rest unseen

    def halt(self, halted: bool) -> None:
        """Takes effect at once, also for what is stored and not yet sent."""
        self.gate.halted = halted

    def collect(self, change: Change) -> None:
        """What must go to the venue; nothing before the reconciliation, after which it is due still."""
        if self.gate.closed:
            self.book.note(change)
            return
        now = self.gate.now()
        sends, cancels = self.book.collect(change, now, self._allowed)
        self.sends += sends
        for row in sends:
            self.executor.unsent.keep(row)
        self.cancels += cancels
        # without limits of its own a bot needs no word of the others, and no order waits for telling them
        told = not self.sends and now - self.used_at > USAGE_NS
        if change.orders and (self.limits or told):
            self.used_at = now
            change.usage = self.usage()

    def _allowed(self, o: Order) -> int:
        reduces = self._reduces(o)
        reason = self.gate.check(reduces)
        return LATER if reason and (reduces or not self.gate.tick_ts) else reason

    def _reduces(self, o: Order) -> bool:
        held: int = self.core.broker.markets[o.symbol].lots
        return held * o.side < 0 and o.left <= abs(held)

    def usage(self) -> Usage:
        """What this bot uses of the account's limits now."""
        b = self.core.broker
        now, living = self.gate.now(), self.book.living()
        exposure = sum((abs(m.qty) * m.mid for m in b.markets[: b.n_markets]), 0.0)
        minute = now // MINUTE
        self.opened = {minute: self.opened.get(minute, 0) + len(self.sends)}
        loss = max(b.risk.day_equity - b.equity, 0.0)
        return Usage(
            exposure=Decimal(repr(exposure)) + sum(map(self._worth, living), Decimal(0)),
            open_orders=len(living),
            day=(now + b.risk.day_offset) // DAY,
            day_loss=Decimal(repr(loss)),
            minute=minute,
            minute_orders=self.opened[minute],
        )

    def _worth(self, row: OrderRow) -> Decimal:
        """What an order may add to the exposure."""
        if row.reduce_only:
            return Decimal(0)
        return (row.quantity - row.filled) * (row.limit_price or self.reference(row))

    def reference(self, row: OrderRow) -> Decimal:
        """The quote that an order meets."""
        market = self.core.broker.markets[self.core.symbols[row.symbol]]
        return price_of(market, market.ask if row.side == "buy" else market.bid)

    def asks(self) -> bool:
        """Only new orders are refused, and only where the account has limits."""
        return bool(self.limits and self.sends)

    def admit(self, change: Change, others: list[Usage]) -> None:
        """Refuse the new orders of this step that the account's other bots leave no room for."""
        if change.usage is None or not self.sends:
            return
        why = self.limits.refuse(change.usage, others)
        if why:
            for row in [row for row in self.sends if not row.reduce_only]:
                row.state, row.reason = State.REFUSED, why

    def waiting(self) -> bool:
        """A cancel changes no row: the state alone holds that it was asked for."""
        return bool(self.sends or self.cancels)

    def stored(self) -> None:
        """Send what was stored, each checked once more."""
        sends, cancels = self.sends, self.cancels
        self.sends, self.cancels = [], []
        self.executor.unsent.stored(self.book.rows)
        for row in sends:
            if row.state is State.REFUSED:
                external.ended(self.core.broker, row.order_id, E_CANCEL, R_ACCOUNT)
                continue
            approved = self.gate.approve(row, self.reference(row), self._leaves(row), self.lease.alive())
            if isinstance(approved, Refusal):
                reason = f"not sent: {approved.text}"
                self.executor.post(Outcome(row.client_id, State.REFUSED, reason, approved.code))
            else:
                self.executor.send(approved)
                self.metrics.sent((self.gate.now() - self.gate.tick_ts) / 1e9)
        for row in cancels:
            self.executor.cancel(row)

    def _leaves(self, row: OrderRow) -> bool:
        """Whether an order can only make the position smaller."""
        if row.reduce_only:
            return True
        market = self.core.broker.markets[self.core.symbols[row.symbol]]
        held = quantity_of(market, market.lots)
        return row.quantity <= (held if row.side == "sell" else -held)

    def still(self, row: OrderRow) -> bool:
        """Whether an order that could not be sent at once may be tried again."""
        return not self.gate.halted or self._leaves(row)

    def memory(self) -> dict[str, Any]:
        """Dust."""
        return self.book.desk()
