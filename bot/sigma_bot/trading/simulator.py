"""SimulatorAdapter: a virtual account. The engine's own matching fills the orders, tick by tick, exactly as
in a backtest; this only writes down what happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sigma_bot.engine.types import (
    E_CANCEL,
    E_EXPIRE,
    E_FILL,
    E_LIQUIDATE,
    E_MODIFY,
    E_NEW,
    E_REJECT,
    E_TRIGGER,
    Event,
    Reason,
)
from sigma_bot.model.conversion import RunContext, optional_price, rejection_of, row_of_event, side_of
from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import LIVING, Change, FillRow, OrderRow, State, Usage
from sigma_bot.model.units import money_of, price_of, quantity_of
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.trading.events import ExecutionEvent
from sigma_bot.trading.protection import lost_exits


class SimulatorAdapter:
    """The execution of SIM. ``open_orders`` are those of the session before."""

    def __init__(self, decisions: DecisionEngine, run: RunContext, open_orders: Iterable[OrderRow]) -> None:
        self.decisions, self.run = decisions, run
        self.rows = {row.order_id: row for row in open_orders}

    def on_ticks(self, batch: TickBatch) -> None:
        """The wall clock counts for nothing here: a late tick is handled as a backtest would."""

    def on_event(self, event: ExecutionEvent, change: Change) -> None:
        """No venue reports to a simulator."""
        raise TypeError(f"a simulated account was given {event} in {change}")

    def set_halted(self, halted: bool) -> None:
        """The engine's own check is enough."""

    def collect(self, change: Change) -> None:
        """Put what the engine did since the last call into ``change``: orders, fills, rejections."""
        changed: dict[str, OrderRow] = {}
        events = self.decisions.take_events()
        change.notices += lost_exits(self.decisions.broker, self.run, events, ())
        for e in events:
            if e.kind == E_REJECT:
                change.notices.append(rejection_of(self.run, e))
                continue
            row = self._row(e, change.tick)
            if row is None:
                continue
            self._apply(e, row, change)
            row.updated = e.ts
            changed[row.client_id] = row
            if row.state not in LIVING:
                del self.rows[row.order_id]
        change.orders.extend(changed.values())

    def needs_account_usage(self) -> bool:
        """No other bot uses a virtual account."""
        return False

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """A virtual account is shared with nobody."""

    def has_outgoing(self) -> bool:
        """There is no venue to send to."""
        return False

    def on_committed(self) -> None:
        """Everything has happened already."""

    def state(self) -> dict[str, Any]:
        """The engine's state is all there is."""
        return {}

    def facts(self) -> dict[str, object]:
        """The engine tells all."""
        return {}

    def log_asleep(self) -> None:
        """The ticks missed are run through when it goes on."""

    async def close(self) -> None:
        """No task was started."""

    def _row(self, e: Event, tick: int) -> OrderRow | None:
        if e.kind in (E_NEW, E_LIQUIDATE):
            self.rows[e.id] = row_of_event(self.run, self.decisions.broker, e, tick)
        return self.rows.get(e.id)

    def _apply(self, e: Event, row: OrderRow, change: Change) -> None:
        market = self.decisions.broker.markets[e.symbol]
        if e.kind == E_FILL:
            change.fills.append(self._fill(e, row))
            row.state = State.FILLED if row.filled >= row.quantity else State.PARTIAL
        elif e.kind == E_MODIFY:
            row.limit_price = optional_price(self.decisions.broker, e.symbol, e.price)
            row.stop_price = optional_price(self.decisions.broker, e.symbol, e.stop)
            row.quantity = quantity_of(market, e.lots)
        elif e.kind == E_TRIGGER:
            row.reason = "triggered"
        elif e.kind in (E_CANCEL, E_EXPIRE):
            row.state = State.CANCELLED if e.kind == E_CANCEL else State.EXPIRED
            row.reason = Reason(e.reason).text

    def _fill(self, e: Event, row: OrderRow) -> FillRow:
        market, precision = self.decisions.broker.markets[e.symbol], self.run.precision
        row.filled += quantity_of(market, e.lots)
        # the exit of a bracket grows with its entry
        row.quantity = max(row.quantity, row.filled)
        return FillRow(
            # what was filled so far tells the fills of an order apart, also when they are reported again
            trade_id=f"{e.id}:{row.filled.normalize():f}",
            client_id=row.client_id,
            order_id=e.id,
            symbol=row.symbol,
            side=side_of(e.side),
            price=price_of(market, e.price),
            quantity=quantity_of(market, e.lots),
            fee=money_of(e.fee, precision),
            fee_currency=self.run.currency,
            maker=e.maker != 0,
            ts=e.ts,
            notional=money_of(e.notional, precision),
            realized=money_of(e.realized, precision),
        )
