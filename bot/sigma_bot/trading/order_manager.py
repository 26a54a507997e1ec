"""OrderManager: the orders of LIVE, between the engine, the journal's rows and the venue's reports. No I/O.

Whatever the venue says passes ``apply_report`` or ``end``. The same thing may come twice, late or out of
order, and nothing is booked twice: fills count by the venue's trade id, totals are only compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from types import MappingProxyType
from typing import Any

from sigma_bot.engine import external
from sigma_bot.engine.types import (
    E_CANCEL,
    E_EXPIRE,
    E_REJECT,
    NEVER,
    R_FUNDS,
    R_PARENT,
    R_STRATEGY,
    R_VENUE,
    Market,
    Order,
)
from sigma_bot.engine.venue import notional_of
from sigma_bot.model.conversion import RunContext, rejection_of, row_of_order, side_of
from sigma_bot.model.orders import LIVING, TRANSITIONS, Change, FillRow, Inputs, NoticeRow, OrderRow, State
from sigma_bot.model.units import money_of, price_of, quantity_of
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.times import SECOND
from sigma_bot.trading.balances import AccountBalances, decimals, texts
from sigma_bot.trading.fees import ForeignFees
from sigma_bot.trading.order_parts import part_of, waits_for_price
from sigma_bot.trading.protection import UNPROTECTED, is_exit, lost_exits
from sigma_bot.venues.types import VenueFill, VenueMarket, VenueOrder

STATE_OF_STATUS = {
    "open": State.OPEN,
    "filled": State.FILLED,
    "cancelled": State.CANCELLED,
    "expired": State.EXPIRED,
    "refused": State.REJECTED,
}
ENDED = frozenset((State.FILLED, State.CANCELLED, State.EXPIRED, State.REJECTED))
# In these an order is not yet known to be partly filled, and a fill makes it so.
FILLABLE = frozenset((State.INTENT, State.UNKNOWN, State.OPEN, State.NEEDS_REVIEW, State.NOT_FOUND))
NO_MARKETS: Mapping[str, VenueMarket] = MappingProxyType({})
MAX_LESSENED = 2
MAX_EXIT_WAIT_S = 60
MAX_GIVEN_UP = 50
MAX_ENDED = 500
"""Rows of ended orders kept in memory for late reports; older ones are read from the journal."""
DEFER = -1
"""In place of a reason: the order may not go now, and is due again at the next step."""


@dataclass(frozen=True, slots=True)
class FillsMissing:
    """The venue has filled more than it reported: its fills must be asked for first."""

    order: VenueOrder


class OrderManager:
    """The bot's orders at the venue. ``bases`` names the currency that a symbol's units are; ``residual`` is
    what fees took of it beyond whole lots (negative: a bit more is held than the engine counts). ``stored``
    is what ``state`` gave; ``token`` the fencing token of this session; ``venue_markets`` hold the venue's
    bounds on single orders, by symbol."""

    def __init__(
        self,
        decisions: DecisionEngine,
        run: RunContext,
        inputs: Inputs,
        stored: Mapping[str, Any],
        token: int,
        bases: Mapping[str, str],
        venue_markets: Mapping[str, VenueMarket] = NO_MARKETS,
    ) -> None:
        self.venue_markets = venue_markets
        self.decisions, self.run, self.inputs, self.token, self.bases = decisions, run, inputs, token, bases
        self.rows: dict[str, OrderRow] = {}
        self.booked_trades: dict[str, set[str]] = {}
        self.ended_ids: list[str] = []
        # "dust": as earlier versions stored it
        self.residual = decimals(stored.get("residual", stored.get("dust", {})))
        self.balances = AccountBalances(run.currency, bases, stored)
        self.fees = ForeignFees(decisions, run, bases, stored)
        # entries that ended without a fill, and whose exits ended with them: one may fill all the same
        self.given_up: list[int] = list(stored.get("givenUp", ()))
        self.unasked: set[int] = set()  # orders that ended at the venue without anybody's wish
        # what the venue has free of a symbol's units, once it refused to sell; None: it is being asked
        self.sellable: dict[str, Decimal | None] = {}
        self.lessened: Counter[int] = Counter()  # by order, how often it was to be sent with less
        self.delayed: Counter[int] = Counter()  # by exit, how often it could not be sent
        self.due_again: dict[int, int] = {}  # by exit, when it may be sent again, ns UTC

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the engine, as plain JSON values."""
        state = {"residual": texts(self.residual), **self.balances.state(), **self.fees.state()}
        return {**state, "givenUp": self.given_up} if self.given_up else state

    def position_shortfalls(self, balances: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """By symbol, how much of the position the account no longer holds."""
        b = self.decisions.broker
        out = {}
        for symbol, k in self.decisions.symbols.items():
            held = quantity_of(b.markets[k], b.markets[k].lots)
            short = held - balances.get(self.bases[symbol], Decimal(0))
            if short > 0:
                out[symbol] = short
        return out

    def track_stored(self, orders: Iterable[OrderRow], fills: Iterable[FillRow]) -> None:
        """Take orders of the journal into memory, with their trades that are booked."""
        trades: dict[str, list[str]] = {}
        for fill in fills:
            trades.setdefault(fill.client_id, []).append(fill.trade_id)
        for row in orders:
            self.track(row, trades.get(row.client_id, ()))

    def track(self, row: OrderRow, trades: Iterable[str]) -> None:
        """Take an order into memory; ``trades`` are the ids of those that are booked."""
        self.rows[row.client_id] = row
        self.booked_trades[row.client_id] = set(trades)
        if row.state not in LIVING:
            self._prune_ended(row.client_id)

    def open_orders(self) -> list[OrderRow]:
        """Orders that may still fill, oldest first."""
        return [row for row in self.rows.values() if row.state in LIVING]

    def recently_not_found(self, since: int) -> list[OrderRow]:
        """Orders that the venue did not know, after ``since`` (ns): one may turn up late after all."""
        return [row for row in self.rows.values() if row.state is State.NOT_FOUND and row.updated > since]

    def reference_price(self, row: OrderRow) -> Decimal:
        """The quote that an order meets."""
        market = self._market(row)
        return price_of(market, market.ask if row.side == "buy" else market.bid)

    def only_reduces(self, row: OrderRow) -> bool:
        """Whether an order can only make the position smaller."""
        if row.reduce_only:
            return True
        market = self._market(row)
        held = quantity_of(market, market.lots)
        return row.quantity <= (held if row.side == "sell" else -held)

    def _market(self, row: OrderRow) -> Market:
        market: Market = self.decisions.broker.markets[self.decisions.symbols[row.symbol]]
        return market

    def _of_this_run(self, row: OrderRow) -> bool:
        """Whether an order is of this run: the engine's numbers begin anew with each, so another run's order
        must not be taken for one of ours."""
        return row.client_id == self.run.client_id(row.order_id, row.attempt)

    # --- from the engine to the venue

    def collect(
        self, change: Change, now: int, reason_not_to_send: Callable[[Order], int]
    ) -> tuple[list[OrderRow], list[OrderRow]]:
        """What the engine wants from the venue: rows to send, and rows to cancel. ``reason_not_to_send``
        gives 0, the engine's reason, or DEFER."""
        new, cancels = [], []
        for what, o in external.due_commands(self.decisions.broker):
            if what == external.CANCEL:
                cancels.append(self.rows[self.run.client_id(o.id, o.attempt)])
                continue
            reason = reason_not_to_send(o) or self._lessen(o)
            early = self.due_again.get(o.id, 0) > now
            if not reason and (early or waits_for_price(self.decisions.broker, o, self._venue_market(o))):
                reason = DEFER
            if reason == DEFER:
                external.hold_back(o)
                continue
            if reason:
                external.order_ended(self.decisions.broker, o.id, E_CANCEL, reason)
                continue
            lots = part_of(self.decisions.broker, o, self._venue_market(o))
            row = row_of_order(self.run, self.decisions.broker, o, lots, change.tick, now, self.token)
            self.track(row, ())
            change.orders.append(row)
            new.append(row)
        self.collect_rejections(change)
        return new, cancels

    def collect_rejections(self, change: Change) -> None:
        """Put the engine's rejections into ``change``, and the exits that a position has lost; its other
        events are in the rows already."""
        events = self.decisions.take_events()
        for e in events:
            if e.kind == E_REJECT or (e.kind == E_CANCEL and e.reason not in (0, R_STRATEGY)):
                change.notices.append(rejection_of(self.run, e))
            if e.kind == E_CANCEL and e.reason == R_PARENT and e.parent not in self.given_up:
                self.given_up = [*self.given_up[-MAX_GIVEN_UP:], e.parent]
        change.notices += lost_exits(self.decisions.broker, self.run, events, self.unasked)
        self.unasked.clear()

    def _venue_market(self, o: Order) -> VenueMarket | None:
        return self.venue_markets.get(self.run.symbols[o.symbol])

    # --- sales that the account has not enough for

    def sell_less(self, change: Change, row: OrderRow, reason: str, now: int) -> bool:
        """The venue refused to sell for lack of what is held: somebody took of it, or a fee did. Keep the
        order, and send it again with what there is once that is known. False: it has been tried enough."""
        o = external.order_of(self.decisions.broker, row.order_id)
        if o is None or row.side != "sell" or not self._of_this_run(row) or o.attempt != row.attempt:
            return False
        if self.lessened[row.order_id] >= MAX_LESSENED:
            return False
        self.lessened[row.order_id] += 1
        self.sellable[row.symbol] = None
        row.state, row.updated, row.reason = State.REJECTED, now, reason
        self._mark_changed(change, row)
        self._prune_ended(row.client_id)
        o.venue_state = external.HELD_HERE
        return True

    def keep_exit(self, change: Change, row: OrderRow, reason: str, now: int) -> bool:
        """An exit could not be sent, and nothing of it can be at the venue: keep it, and send it again later,
        less and less often. False: it is no exit."""
        o = external.order_of(self.decisions.broker, row.order_id)
        if o is None or not self._of_this_run(row) or o.attempt != row.attempt or not is_exit(o):
            return False
        self.delayed[row.order_id] += 1
        if self.delayed[row.order_id] == 1:
            what = f"{row.side} {row.quantity:f} {row.symbol}"
            self._alert(change, row, "exit-delayed", f"{what} can't be sent, tried again: {reason}", now)
        wait = min(2 ** self.delayed[row.order_id], MAX_EXIT_WAIT_S)
        self.due_again[row.order_id] = now + wait * SECOND
        row.state, row.updated, row.reason = State.REJECTED, now, reason
        self._mark_changed(change, row)
        self._prune_ended(row.client_id)
        o.venue_state = external.HELD_HERE
        return True

    def _lessen(self, o: Order) -> int:
        """0, DEFER while the venue is asked, or the reason why nothing can be sold. What it has free is sold,
        or a little less when it has enough and refuses all the same: a fee in units is taken besides."""
        symbol = self.run.symbols[o.symbol]
        if o.side > 0 or symbol not in self.sellable:
            return 0
        free = self.sellable[symbol]
        if free is None:
            return DEFER
        market = self.decisions.broker.markets[o.symbol]
        del self.sellable[symbol]
        lots = int(free / quantity_of(market, 1))
        if lots >= o.remaining:
            lots = int(o.remaining * (1 - 2 * market.fee_rate)) - 1
        o.remaining = min(o.remaining, max(lots, 0))
        return 0 if o.remaining > 0 else R_FUNDS

    # --- from the venue to the engine

    def apply_report(
        self, change: Change, row: OrderRow, order: VenueOrder | None, fills: Iterable[VenueFill], now: int
    ) -> FillsMissing | None:
        """Book what the venue says of an order of ours. Returns FillsMissing when they must be asked for."""
        booked = self.booked_trades[row.client_id]
        news = self._without_overfills(change, row, [f for f in fills if f.trade_id not in booked], now)
        for fill in news:
            self._apply_fill(change, row, fill)
        if news and row.state in FILLABLE:
            self._transition(change, row, State.PARTIAL, now)
        if order is not None:
            if row.venue_id is None and order.venue_id:
                row.venue_id = order.venue_id
                self._mark_changed(change, row)
            if order.filled > row.filled:
                return FillsMissing(order)
            self._apply_status(change, row, order, now)
        elif row.filled >= row.quantity:
            self._transition(change, row, State.FILLED, now)
        return None

    def _without_overfills(
        self, change: Change, row: OrderRow, fills: Iterable[VenueFill], now: int
    ) -> list[VenueFill]:
        """Fills that the order has room for. More than was ordered is never booked: a message that is wrong,
        or one trade under two ids."""
        room, out = row.quantity - row.filled, []
        for fill in fills:
            if fill.quantity <= room:
                room -= fill.quantity
                out.append(fill)
                continue
            self.booked_trades[row.client_id].add(fill.trade_id)
            text = f"{row.client_id}: trade {fill.trade_id} of {fill.quantity:f} is more than was ordered"
            self._alert(change, row, "overfill", text, now)
        return out

    def _apply_status(self, change: Change, row: OrderRow, order: VenueOrder, now: int) -> None:
        state = STATE_OF_STATUS[order.status]
        if order.filled < row.filled:
            return  # an older report: the fills it lacks are booked
        if state is State.OPEN and row.filled > 0:
            state = State.PARTIAL
        if state in (State.OPEN, State.PARTIAL) and row.state in (*ENDED, State.PARTIAL):
            return  # older too: it ended since
        self._transition(change, row, state, now, order.reason)

    def end(
        self, change: Change, row: OrderRow, state: State, reason: str, now: int, code: int = R_VENUE
    ) -> None:
        """The order ended without being open: the venue rejected it, or it never arrived. ``code`` is the
        engine's reason for it."""
        self._transition(change, row, state, now, reason, code)

    def cancel_failed(self, row: OrderRow) -> None:
        """The order is still open, and its cancel may be asked for again."""
        if self._of_this_run(row):
            external.cancel_failed(self.decisions.broker, row.order_id)

    def _transition(
        self,
        change: Change,
        row: OrderRow,
        state: State,
        now: int,
        reason: str = "",
        code: int = R_VENUE,
    ) -> None:
        if state is row.state:
            return
        if state not in TRANSITIONS[row.state]:
            text = f"{row.client_id}: the venue reports {state}, which cannot follow on {row.state}"
            self._alert(change, row, "illegal-transition", text, now)
            return
        row.state, row.updated, row.reason = state, now, reason or row.reason
        self._mark_changed(change, row)
        if state is State.NEEDS_REVIEW:
            text = f"{row.client_id}: {reason}; settle it by hand, see `sigma orders`"
            self._alert(change, row, "needs-review", text, now)
        if state in LIVING:
            return
        if self._of_this_run(row):
            self._end_in_engine(change, row, state, code)
        self._prune_ended(row.client_id)

    def _end_in_engine(self, change: Change, row: OrderRow, state: State, code: int) -> None:
        """Tell the engine that its order is over."""
        self.inputs.add(change, "end", {"order": row.order_id, "attempt": row.attempt, "state": str(state)})
        kind = E_EXPIRE if state is State.EXPIRED else E_CANCEL
        refused = state in (State.REJECTED, State.NOT_FOUND)
        o = external.order_of(self.decisions.broker, row.order_id)
        if o is None or o.attempt != row.attempt:
            return
        if state is State.FILLED:
            external.part_filled(self.decisions.broker, row.order_id)
            return
        if not refused and o.cancel_at == NEVER and o.modify_at == NEVER:
            self.unasked.add(row.order_id)
        external.order_ended(self.decisions.broker, row.order_id, kind, code if refused else R_STRATEGY)

    def _apply_fill(self, change: Change, row: OrderRow, fill: VenueFill) -> None:
        if self._of_this_run(row):
            notional, realized = self._book_fill(change, row, fill)
        else:
            notional, realized = fill.quantity * fill.price, Decimal(0)
            text = f"{row.client_id}: {fill.quantity:f} filled for an earlier run, unknown to this one"
            self._alert(change, row, "earlier-run", text, fill.ts)
        self.booked_trades[row.client_id].add(fill.trade_id)
        row.filled += fill.quantity
        self._mark_changed(change, row)
        self.balances.apply_fill(row, fill)
        stored = FillRow(
            trade_id=fill.trade_id,
            client_id=row.client_id,
            order_id=row.order_id,
            symbol=row.symbol,
            side=row.side,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_currency=fill.fee_currency,
            maker=fill.maker,
            ts=fill.ts,
            notional=notional,
            realized=realized,
        )
        change.fills.append(stored)

    def _book_fill(self, change: Change, row: OrderRow, fill: VenueFill) -> tuple[Decimal, Decimal]:
        """Put a fill into the engine's account; its value and the profit it realized."""
        decisions, symbol = self.decisions, self.decisions.symbols[row.symbol]
        b, market = decisions.broker, decisions.broker.markets[symbol]
        side = 1 if row.side == "buy" else -1
        lots = self._whole_lots(symbol, row.symbol, side, fill.quantity)
        price = float(fill.price)
        payer, units = self._fee_in_units(row, fill, lots * side)
        fee = self._fee_in_quanta(fill, fill.fee - units)
        before = market.realized
        if external.order_of(b, row.order_id) is None and row.order_id in self.given_up:
            what = f"{row.client_id}: {side_of(side)} {fill.quantity:f} {row.symbol}"
            text = f"{what} filled after it was given up: its exits are gone"
            self._alert(change, row, UNPROTECTED, text, fill.ts)
        external.order_filled(b, row.order_id, symbol, side, lots, price, int(fill.maker), b.ts, fee)
        if units:
            self._deduct_fee(self.decisions.symbols[payer], payer, units)
        self.inputs.add(
            change,
            "fill",
            {"order": row.order_id, "symbol": symbol, "side": side, "lots": lots, "price": price, "fee": fee},
        )
        scale = self.run.precision
        return money_of(notional_of(market, lots, price), scale), money_of(market.realized - before, scale)

    def _fee_in_units(self, row: OrderRow, fill: VenueFill, signed_lots: int) -> tuple[str, Decimal]:
        """Of a fee in units of a position, whose symbol pays and how much: never more than is held after the
        fill. The market traded comes first: Binance takes a buyer's fee from what was bought."""
        if not fill.fee or fill.fee_currency == self.run.currency:
            return "", Decimal(0)
        for symbol in (row.symbol, *self.decisions.symbols):
            if self.bases[symbol] == fill.fee_currency:
                market = self.decisions.broker.markets[self.decisions.symbols[symbol]]
                lots = market.lots + (signed_lots if symbol == row.symbol else 0)
                held = quantity_of(market, max(lots, 0)) - self.residual.get(symbol, Decimal(0))
                if lots > 0 and held > 0:
                    return symbol, min(fill.fee, held)
        return "", Decimal(0)

    def _fee_in_quanta(self, fill: VenueFill, fee: Decimal) -> int:
        """What of a fee is taken in money, or in a currency that is counted as money."""
        if not fee or fill.fee_currency == self.run.currency:
            return int(fee.scaleb(self.run.precision).to_integral_value())
        return self.fees.quanta(fill.fee_currency, fee)

    def settle_fees(self, change: Change, currency: str, price: Decimal) -> None:
        """The venue told what a currency costs: fees that were owed in it are charged."""
        amount, fee = self.fees.settle(currency, price)
        if amount:
            external.charge_fee(self.decisions.broker, fee)
            told = {"currency": currency, "amount": str(amount), "price": str(price), "fee": fee}
            self.inputs.add(change, "fee", told)

    def _whole_lots(self, symbol: int, name: str, side: int, quantity: Decimal) -> int:
        """A fill in whole lots; what is left over goes to the residual, so that never more is counted than
        is held."""
        lot = quantity_of(self.decisions.broker.markets[symbol], 1)
        lots = (quantity / lot).to_integral_value(ROUND_FLOOR if side > 0 else ROUND_CEILING)
        if rest := quantity - lots * lot:
            self.residual[name] = self.residual.get(name, Decimal(0)) - side * rest
        return int(lots)

    def _deduct_fee(self, symbol: int, name: str, fee: Decimal) -> None:
        """Whole lots of a fee taken in units: never less than it took; the rest is the residual."""
        lot = quantity_of(self.decisions.broker.markets[symbol], 1)
        owed = self.residual.get(name, Decimal(0)) + fee
        held = max(self.decisions.broker.markets[symbol].lots, 0)
        lots = min(int((owed / lot).to_integral_value(ROUND_CEILING)), held)
        external.received_fee(self.decisions.broker, symbol, lots)
        self.residual[name] = owed - lots * lot

    def _alert(self, change: Change, row: OrderRow, code: str, text: str, now: int) -> None:
        change.notices.append(NoticeRow("alert", code, text, now, row.order_id, row.symbol))

    def _mark_changed(self, change: Change, row: OrderRow) -> None:
        if all(row is not changed for changed in change.orders):
            change.orders.append(row)

    def _prune_ended(self, client_id: str) -> None:
        self.ended_ids.append(client_id)
        while len(self.ended_ids) > MAX_ENDED:
            oldest = self.ended_ids.pop(0)
            if oldest in self.rows and self.rows[oldest].state not in LIVING:
                del self.rows[oldest], self.booked_trades[oldest]
