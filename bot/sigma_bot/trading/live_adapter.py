"""LiveAdapter: a real account. Between the bot's steps and the orders at the venue."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

from sigma_bot.engine import external
from sigma_bot.engine.types import E_CANCEL, R_ABSENT, R_ACCOUNT, Order
from sigma_bot.health.logs import about
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.lease import Lease
from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import LIVING, Change, NoticeRow, OrderRow, State, Usage
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.times import DAY, MINUTE, SECOND
from sigma_bot.trading.approval import Denied, RiskGate
from sigma_bot.trading.events import (
    Alert,
    BalanceTold,
    CancelFailed,
    CurrencyPriced,
    ExecutionEvent,
    OrderReport,
    Reconciled,
    SendResult,
    TaskFailed,
    UntrackedOrder,
)
from sigma_bot.trading.executor import OrderExecutor
from sigma_bot.trading.held_orders import asleep, held_orders
from sigma_bot.trading.limits import AccountLimits
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.order_manager import DEFER, FillsMissing, OrderManager
from sigma_bot.trading.untracked import UntrackedOrders

log = logging.getLogger(__name__)
USAGE_NS = SECOND


class LiveAdapter:
    """The execution of LIVE."""

    def __init__(
        self,
        decisions: DecisionEngine,
        orders: OrderManager,
        executor: OrderExecutor,
        untracked: UntrackedOrders,
        mailbox: Mailbox,
        gate: RiskGate,
        lease: Lease,
        limits: AccountLimits,
        metrics: BotMetrics,
    ) -> None:
        self.decisions, self.orders, self.executor, self.untracked = decisions, orders, executor, untracked
        self.mailbox, self.gate, self.lease = mailbox, gate, lease
        self.limits, self.metrics = limits, metrics
        self.outgoing_orders: list[OrderRow] = []
        self.outgoing_cancels: list[OrderRow] = []
        self.foreign_orders = 0
        self.orders_by_minute: dict[int, int] = {}
        self.alerted: set[tuple[str, str]] = set()
        self.usage_at = 0

    def on_ticks(self, batch: TickBatch) -> None:
        """Orders are judged by how old this batch is."""
        self.gate.tick_ts = batch.ts

    def on_event(self, event: ExecutionEvent, change: Change) -> None:
        """Book what came from the venue."""
        if isinstance(event, TaskFailed):
            raise event.error
        if isinstance(event, Alert):
            self._alert(event, change)
        elif isinstance(event, Reconciled):
            self.foreign_orders = event.foreign
        elif isinstance(event, CurrencyPriced):
            self._on_price(event, change)
        elif isinstance(event, BalanceTold):
            self.orders.sellable[event.symbol] = event.free
        elif isinstance(event, UntrackedOrder):
            self.untracked.track(event.order)
        elif (row := self.orders.rows.get(event.client_id)) is not None:
            with about(order=row.order_id):
                self._on_order_event(event, row, change)
        elif isinstance(event, OrderReport) and event.order is not None:
            self.untracked.track(event.order)

    def _alert(self, alert: Alert, change: Change) -> None:
        """Once for each text."""
        if (alert.code, alert.text) not in self.alerted:
            self.alerted.add((alert.code, alert.text))
            notice = NoticeRow("alert", alert.code, alert.text, self.gate.now(), 0, alert.symbol)
            change.notices.append(notice)

    def _on_price(self, told: CurrencyPriced, change: Change) -> None:
        if told.price is not None:
            self.orders.settle_fees(change, told.currency, told.price)
        elif told.currency in self.orders.fees.owed:
            text = (
                f"fees in {told.currency} can't be counted in {self.orders.run.currency}: the venue has no "
                "market of the two; equity and the limits on losses lack them"
            )
            self._alert(Alert("fee-not-counted", text, ""), change)

    def price_fees(self) -> None:
        """Ask what the currencies cost that fees were paid in and that no market of ours tells."""
        for currency in self.orders.fees.met:
            self.executor.request_price(currency, self.orders.run.currency)

    def _on_order_event(
        self, event: OrderReport | SendResult | CancelFailed, row: OrderRow, change: Change
    ) -> None:
        now = self.gate.now()
        if isinstance(event, OrderReport):
            self._apply_report(event, row, change, now)
        elif isinstance(event, SendResult):
            if event.state is State.UNKNOWN and row.state is not State.INTENT:
                return  # the private stream was faster than the answer that got lost
            if event.short and self.orders.sell_less(change, row, event.reason, now):
                self.executor.request_balance(row.symbol, self.orders.bases[row.symbol])
                return
            unsent = event.state is State.REJECTED and event.code == R_ABSENT
            if unsent and self.orders.keep_exit(change, row, event.reason, now):
                return
            self.orders.end(change, row, event.state, event.reason, now, event.code)
        else:
            log.warning("cancel of %s: %s", row.client_id, event.reason)
            self.orders.cancel_failed(row)

    def _apply_report(self, report: OrderReport, row: OrderRow, change: Change, now: int) -> None:
        before = row.state
        missing = self.orders.apply_report(change, row, report.order, report.fills, now)
        if isinstance(missing, FillsMissing):
            self.executor.request_fills(missing.order, row.client_id)
        if self.orders.fees.owed:
            self.price_fees()
        if before is State.NOT_FOUND and row.state in LIVING:
            # the strategy was told that it is gone: it must not stay open unseen
            self.outgoing_cancels.append(row)

    def set_halted(self, halted: bool) -> None:
        """Takes effect at once, also for what is stored and not yet sent."""
        self.gate.halted = halted

    def collect(self, change: Change) -> None:
        """What must go to the venue; nothing before the reconciliation, after which it is due still."""
        if self.gate.closed_reason:
            self.orders.collect_rejections(change)
            return
        now = self.gate.now()
        new, cancels = self.orders.collect(change, now, self._reason_not_to_send)
        self.outgoing_orders += new
        for row in new:
            self.executor.unplaced.add(row)
        self.outgoing_cancels += cancels
        # without limits of its own a bot needs no figures of the others, and no order waits for telling them
        due = not self.outgoing_orders and now - self.usage_at > USAGE_NS
        if change.orders and (self.limits or due):
            self.usage_at = now
            change.usage = self.usage()

    def _reason_not_to_send(self, o: Order) -> int:
        reduces = self._reduces(o)
        reason = self.gate.denial_reason(reduces)
        return DEFER if reason and (reduces or not self.gate.tick_ts) else reason

    def _reduces(self, o: Order) -> bool:
        held: int = self.decisions.broker.markets[o.symbol].lots
        return held * o.side < 0 and o.remaining <= abs(held)

    def usage(self) -> Usage:
        """What this bot uses of the account's limits now."""
        b = self.decisions.broker
        now, open_orders = self.gate.now(), self.orders.open_orders()
        exposure = sum((abs(m.qty) * m.mid for m in b.markets[: b.n_markets]), 0.0)
        minute = now // MINUTE
        self.orders_by_minute = {minute: self.orders_by_minute.get(minute, 0) + len(self.outgoing_orders)}
        loss = max(b.risk.day_equity - b.equity, 0.0)
        return Usage(
            exposure=Decimal(repr(exposure)) + sum(map(self._added_exposure, open_orders), Decimal(0)),
            open_orders=len(open_orders),
            day=(now + b.risk.day_offset) // DAY,
            day_loss=Decimal(repr(loss)),
            minute=minute,
            minute_orders=self.orders_by_minute[minute],
        )

    def _added_exposure(self, row: OrderRow) -> Decimal:
        """What an order may add to the exposure."""
        if row.reduce_only:
            return Decimal(0)
        return (row.quantity - row.filled) * (row.limit_price or self.orders.reference_price(row))

    def needs_account_usage(self) -> bool:
        """Only new orders are rejected, and only where the account has limits."""
        return bool(self.limits and self.outgoing_orders)

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """Reject the new orders of this step that the account's other bots leave no room for."""
        if change.usage is None or not self.outgoing_orders:
            return
        why = self.limits.violation(change.usage, others)
        if why:
            for row in [row for row in self.outgoing_orders if not self.orders.only_reduces(row)]:
                row.state, row.reason = State.REJECTED, why

    def has_outgoing(self) -> bool:
        """A cancel changes no row: the state alone holds that it was asked for."""
        return bool(self.outgoing_orders or self.outgoing_cancels)

    def on_committed(self) -> None:
        """Send what was stored, each order checked once more."""
        new, cancels = self.outgoing_orders, self.outgoing_cancels
        self.outgoing_orders, self.outgoing_cancels = [], []
        self.executor.unplaced.prune(self.orders.rows)
        for row in new:
            if row.state is State.REJECTED:
                external.order_ended(self.decisions.broker, row.order_id, E_CANCEL, R_ACCOUNT)
            else:
                self._send(row)
        for row in cancels:
            self.executor.cancel(row)

    def _send(self, row: OrderRow) -> None:
        reference = self.orders.reference_price(row)
        approved = self.gate.approve(row, reference, self.orders.only_reduces(row), self.lease.alive())
        if isinstance(approved, Denied):
            reason = f"not sent: {approved.text}"
            self.mailbox.put(SendResult(row.client_id, State.REJECTED, reason, approved.code))
        else:
            self.executor.send(approved)
            self.metrics.sent((self.gate.now() - self.gate.tick_ts) / 1e9)

    def state(self) -> dict[str, Any]:
        """Balances and residuals, which the engine does not count."""
        return self.orders.state()

    def facts(self) -> dict[str, object]:
        """Fees that equity lacks, and the orders that sleep while the bot is down."""
        held = held_orders(self.decisions.broker, self.orders.run.symbols)
        return {
            "fees_not_counted": {c: f"{a:f}" for c, a in self.orders.fees.told().items()},
            "held_orders": [str(order) for order in held],
        }

    def log_asleep(self) -> None:
        """Stops that the bot holds do nothing while it is down."""
        if text := asleep(self.decisions.broker, self.orders.run.symbols):
            log.warning("%s", text)

    async def close(self) -> None:
        """Stop sending. What was sent stays sent: the next start finds out."""
        await self.executor.close()
