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
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.trading.approval import Denied, RiskGate
from sigma_bot.trading.executor import (
    CancelFailed,
    OrderExecutor,
    OrderReport,
    Reconciled,
    SendResult,
    TaskFailed,
    UntrackedOrder,
    VenueEvent,
)
from sigma_bot.trading.limits import AccountLimits
from sigma_bot.trading.order_manager import DEFER, FillsMissing, OrderManager
from sigma_bot.trading.simulator import SimulatorExecutor

log = logging.getLogger(__name__)
USAGE_NS = SECOND


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a human should look at."""

    code: str
    text: str
    symbol: str


class ExecutionAdapter(Protocol):
    """The mode's part of a bot. Nothing here waits: what takes time is posted to the mailbox."""

    def on_ticks(self, batch: TickBatch) -> None:
        """A batch is about to be handled."""

    def on_event(self, fact: VenueEvent | Alert, change: Change) -> None:
        """Something other than a tick or a control came."""

    def set_halted(self, halted: bool) -> None:
        """Trading is halted or goes on."""

    def collect(self, change: Change) -> None:
        """Put what the engine did into ``change``."""

    def needs_account_usage(self) -> bool:
        """Whether what the account's other bots use decides on what is stored now."""

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """Inside the transaction: take out of ``change`` what the account's limits refuse."""

    def has_outgoing(self) -> bool:
        """Whether something is to be sent once the step is stored, even if nothing else changed."""

    def on_committed(self) -> None:
        """The step is stored: send."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold besides engine and strategy."""


class SimulatorAdapter:
    """A virtual account."""

    def __init__(self, simulator: SimulatorExecutor) -> None:
        self.simulator = simulator

    def on_ticks(self, batch: TickBatch) -> None:
        """The wall clock counts for nothing here: a late tick is handled as a backtest would."""

    def on_event(self, fact: VenueEvent | Alert, change: Change) -> None:
        """A simulator has nobody to hear from."""
        raise TypeError(f"a simulated account was told {fact} in {change}")

    def set_halted(self, halted: bool) -> None:
        """The engine's own check is enough."""

    def collect(self, change: Change) -> None:
        """Orders and fills of the step."""
        self.simulator.collect(change)

    def needs_account_usage(self) -> bool:
        """A virtual account has no others."""
        return False

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """A virtual account is nobody else's."""

    def has_outgoing(self) -> bool:
        """There is nobody to send to."""
        return False

    def on_committed(self) -> None:
        """Everything has happened already."""

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class LiveAdapter:
    """A real account."""

    def __init__(
        self,
        decisions: DecisionEngine,
        book: OrderManager,
        executor: OrderExecutor,
        gate: RiskGate,
        lease: Lease,
        limits: AccountLimits,
        adopt: Callable[[UntrackedOrder], None],
        metrics: BotMetrics,
    ) -> None:
        self.decisions, self.orders, self.executor, self.gate = decisions, book, executor, gate
        self.lease, self.limits, self.adopt, self.metrics = lease, limits, adopt, metrics
        self.outgoing_orders: list[OrderRow] = []
        self.outgoing_cancels: list[OrderRow] = []
        self.foreign_orders = 0
        self.orders_by_minute: dict[int, int] = {}
        self.alerted: set[tuple[str, str]] = set()
        self.usage_at = 0

    def on_ticks(self, batch: TickBatch) -> None:
        """Orders are judged by how old this batch is."""
        self.gate.tick_ts = batch.ts

    def on_event(self, fact: VenueEvent | Alert, change: Change) -> None:
        """Book what the venue said."""
        now = self.gate.now()
        if isinstance(fact, TaskFailed):
            raise fact.error
        if isinstance(fact, Alert):
            if (fact.code, fact.text) not in self.alerted:
                self.alerted.add((fact.code, fact.text))
                change.notices.append(NoticeRow("alert", fact.code, fact.text, now, 0, fact.symbol))
            return
        if isinstance(fact, Reconciled):
            self.foreign_orders = fact.foreign
            return
        if isinstance(fact, UntrackedOrder):
            self.adopt(fact)
            return
        row = self.orders.rows.get(fact.client_id)
        if row is None:
            if isinstance(fact, OrderReport) and fact.order is not None:
                self.adopt(UntrackedOrder(fact.order))
            return
        if isinstance(fact, OrderReport):
            self._apply_report(fact, row, change)
        elif isinstance(fact, SendResult):
            if fact.state is State.UNKNOWN and row.state is not State.INTENT:
                return  # the private stream was faster than the answer that got lost
            self.orders.end(change, row, fact.state, fact.reason, now, fact.code)
        elif isinstance(fact, CancelFailed):
            log.warning("cancel of %s: %s", row.client_id, fact.reason)
            self.orders.cancel_failed(row)

    def _apply_report(self, fact: OrderReport, row: OrderRow, change: Change) -> None:
        before = row.state
        missing = self.orders.apply_report(change, row, fact.order, fact.fills, self.gate.now())
        if isinstance(missing, FillsMissing):
            self.executor.ask_fills(missing.order, row.client_id)
        if before is State.ABSENT and row.state in LIVING:
            self.outgoing_cancels.append(
                row
            )  # the strategy was told that it is gone: it must not rest unseen

    def set_halted(self, halted: bool) -> None:
        """Takes effect at once, also for what is stored and not yet sent."""
        self.gate.halted = halted

    def collect(self, change: Change) -> None:
        """What must go to the venue; nothing before the reconciliation, after which it is due still."""
        if self.gate.closed_reason:
            self.orders.collect_rejections(change)
            return
        now = self.gate.now()
        sends, cancels = self.orders.collect(change, now, self._reason_not_to_send)
        self.outgoing_orders += sends
        for row in sends:
            self.executor.unplaced.add(row)
        self.outgoing_cancels += cancels
        # without limits of its own a bot needs no word of the others, and no order waits for telling them
        told = not self.outgoing_orders and now - self.usage_at > USAGE_NS
        if change.orders and (self.limits or told):
            self.usage_at = now
            change.usage = self.usage()

    def _reason_not_to_send(self, o: Order) -> int:
        reduces = self._reduces(o)
        reason = self.gate.denial_reason(reduces)
        return DEFER if reason and (reduces or not self.gate.tick_ts) else reason

    def _reduces(self, o: Order) -> bool:
        held: int = self.decisions.broker.markets[o.symbol].lots
        return held * o.side < 0 and o.left <= abs(held)

    def usage(self) -> Usage:
        """What this bot uses of the account's limits now."""
        b = self.decisions.broker
        now, living = self.gate.now(), self.orders.open_orders()
        exposure = sum((abs(m.qty) * m.mid for m in b.markets[: b.n_markets]), 0.0)
        minute = now // MINUTE
        self.orders_by_minute = {minute: self.orders_by_minute.get(minute, 0) + len(self.outgoing_orders)}
        loss = max(b.risk.day_equity - b.equity, 0.0)
        return Usage(
            exposure=Decimal(repr(exposure)) + sum(map(self._added_exposure, living), Decimal(0)),
            open_orders=len(living),
            day=(now + b.risk.day_offset) // DAY,
            day_loss=Decimal(repr(loss)),
            minute=minute,
            minute_orders=self.orders_by_minute[minute],
        )

    def _added_exposure(self, row: OrderRow) -> Decimal:
        """What an order may add to the exposure."""
        if row.reduce_only:
            return Decimal(0)
        return (row.quantity - row.filled) * (row.limit_price or self.reference(row))

    def reference(self, row: OrderRow) -> Decimal:
        """The quote that an order meets."""
        market = self.decisions.broker.markets[self.decisions.symbols[row.symbol]]
        return price_of(market, market.ask if row.side == "buy" else market.bid)

    def needs_account_usage(self) -> bool:
        """Only new orders are refused, and only where the account has limits."""
        return bool(self.limits and self.outgoing_orders)

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """Refuse the new orders of this step that the account's other bots leave no room for."""
        if change.usage is None or not self.outgoing_orders:
            return
        why = self.limits.violation(change.usage, others)
        if why:
            for row in [row for row in self.outgoing_orders if not row.reduce_only]:
                row.state, row.reason = State.REFUSED, why

    def has_outgoing(self) -> bool:
        """A cancel changes no row: the state alone holds that it was asked for."""
        return bool(self.outgoing_orders or self.outgoing_cancels)

    def on_committed(self) -> None:
        """Send what was stored, each checked once more."""
        sends, cancels = self.outgoing_orders, self.outgoing_cancels
        self.outgoing_orders, self.outgoing_cancels = [], []
        self.executor.unplaced.prune(self.orders.rows)
        for row in sends:
            if row.state is State.REFUSED:
                external.ended(self.decisions.broker, row.order_id, E_CANCEL, R_ACCOUNT)
                continue
            approved = self.gate.approve(row, self.reference(row), self._leaves(row), self.lease.alive())
            if isinstance(approved, Denied):
                reason = f"not sent: {approved.text}"
                self.executor.post(SendResult(row.client_id, State.REFUSED, reason, approved.code))
            else:
                self.executor.send(approved)
                self.metrics.sent((self.gate.now() - self.gate.tick_ts) / 1e9)
        for row in cancels:
            self.executor.cancel(row)

    def _leaves(self, row: OrderRow) -> bool:
        """Whether an order can only make the position smaller."""
        if row.reduce_only:
            return True
        market = self.decisions.broker.markets[self.decisions.symbols[row.symbol]]
        held = quantity_of(market, market.lots)
        return row.quantity <= (held if row.side == "sell" else -held)

    def still(self, row: OrderRow) -> bool:
        """Whether an order that could not be sent at once may be tried again."""
        return not self.gate.halted or self._leaves(row)

    def state(self) -> dict[str, Any]:
        """Dust."""
        return self.orders.state()
