"""What a strategy sees as ``broker``: the account, the markets and the orders. It is also the engine's whole
state."""

from __future__ import annotations

from sigma_bot.engine.orders import cancel, find_slot, link, modify, order_type_of, submit
from sigma_bot.engine.risk import RiskManager
from sigma_bot.engine.types import (
    DONE,
    GTC,
    HELD,
    LIMIT,
    MARKET,
    MAX_EVENTS,
    MAX_ORDERS,
    MAX_PAYMENTS,
    MAX_SAMPLES,
    MAX_SYMBOLS,
    MAX_TIMEFRAMES,
    Bar,
    Event,
    Market,
    Order,
    Reason,
    Sample,
)
from sigma_bot.engine.venue import UNCOUNTABLE, lots_of, notional_of, quantity
from sigma_bot.kernel.struct import Struct, array


class Broker(Struct):
    """Account and orders. Quantities are in units of the symbol, prices and money in the account's currency.

    Calls without ``symbol`` mean the symbol of the tick or bar being handled. A call that sends an order
    returns the order's id, or 0 when risk, the venue's rules or the account refused it; the reason is
    recorded.
    """

    ts: int
    symbol: int
    row: int
    next_wake: int
    needs_matching: int
    inside_bar: int
    delivered: int
    event_budget: int
    lost_events: int
    n_markets: int
    n_timeframes: int
    data_timeframe: int
    external: int
    on_bars: int
    own_bars: int
    timeframes: array(int, MAX_TIMEFRAMES)
    latency: int
    fill_at_close: int
    leveraged: int
    has_volume: int
    queue_model: int
    half_spread: float
    slippage: float
    slippage_ticks: float
    volume_limit: float
    liquidation_fee: float
    scale: float
    next_id: int
    n_active: int
    n_free: int
    n_events: int
    n_samples: int
    n_orders: int
    n_fills: int
    n_rejected: int
    n_ambiguous: int
    n_liquidations: int
    cash_quanta: int
    fee_quanta: int
    funding_quanta: int
    cash: float
    equity: float
    peak: float
    max_drawdown: float
    next_sample: int
    sample_every: int
    risk: RiskManager
    bar: Bar
    scratch: Order
    n_payments: int
    payment_mark: float
    payment_lots: int
    held_least: int
    held_most: int
    ambiguous_row: int
    n_ending: int
    ended: array(int, MAX_SYMBOLS)
    own_lot: array(int, MAX_SYMBOLS)
    payment_rates: array(float, MAX_PAYMENTS)
    payment_times: array(int, MAX_PAYMENTS)
    rejected: array(int, 32)
    active: array(int, MAX_ORDERS)
    free: array(int, MAX_ORDERS)
    markets: array(Market, MAX_SYMBOLS)
    orders: array(Order, MAX_ORDERS)
    samples: array(Sample, MAX_SAMPLES)
    events: array(Event, MAX_EVENTS)

    # --- the account
    # ---------------------------------------------------------------------------------------------

    @property
    def position(self):
        """Units held of the current symbol; negative when short."""
        return self.markets[self.symbol].qty

    def position_of(self, symbol):
        """Units held of one symbol."""
        return self.markets[self._index(symbol)].qty

    def _index(self, symbol):
        """Place of a symbol's market; -1 means the one being handled. Raises IndexError above the last."""
        if symbol < 0:
            return self.symbol
        if symbol >= self.n_markets:
            raise IndexError(
                "there is no such symbol: it must be less than the number of markets in the manifest"
            )
        return symbol

    @property
    def average_price(self):
        """Average entry price of the current symbol's position; 0 when flat."""
        market = self.markets[self.symbol]
        return market.cost / self.scale / abs(market.qty) if market.lots != 0 else 0.0

    @property
    def realized_profit(self):
        """Profit of what has been closed in the current symbol, before fees."""
        return self.markets[self.symbol].realized / self.scale

    @property
    def unrealized_profit(self):
        """Profit that closing the current symbol's position at its mark would realise, before fees."""
        market = self.markets[self.symbol]
        value = notional_of(market, abs(market.lots), market.mid)
        return (value - market.cost if market.lots > 0 else market.cost - value) / self.scale

    @property
    def fees(self):
        """Fees paid so far."""
        return self.fee_quanta / self.scale

    @property
    def open_orders(self):
        """Number of open orders, the waiting exits of brackets included."""
        count = 0
        for i in range(self.n_active):
            if self.orders[self.active[i]].state != DONE:
                count += 1
        return count

    def is_open(self, order_id):
        """Whether an order can still fill."""
        return find_slot(self, order_id) >= 0

    # --- orders
    # --------------------------------------------------------------------------------------------------

    def buy(
        self,
        qty,
        limit=0.0,
        stop=0.0,
        trail=0.0,
        tif=GTC,
        expire=0,
        post_only=False,
        reduce_only=False,
        stop_loss=0.0,
        take_profit=0.0,
        symbol=-1,
    ):
        """Buy ``qty`` units: at market, or with ``limit``, ``stop`` (both: stop-limit) or ``trail``
        (distance).

        ``stop_loss`` and ``take_profit`` make a bracket: exits that wait for the fill and cancel one another.
        ``expire`` (ns) ends an order with ``tif=GTD``.
        """
        return self._send(
            1, qty, limit, stop, trail, tif, expire, post_only, reduce_only, stop_loss, take_profit, symbol
        )

    def sell(
        self,
        qty,
        limit=0.0,
        stop=0.0,
        trail=0.0,
        tif=GTC,
        expire=0,
        post_only=False,
        reduce_only=False,
        stop_loss=0.0,
        take_profit=0.0,
        symbol=-1,
    ):
        """Sell ``qty`` units; see ``buy``."""
        return self._send(
            -1, qty, limit, stop, trail, tif, expire, post_only, reduce_only, stop_loss, take_profit, symbol
        )

    def _send(
        self,
        side,
        qty,
        limit,
        stop,
        trail,
        tif,
        expire,
        post_only,
        reduce_only,
        stop_loss,
        take_profit,
        symbol,
    ):
        index = self._index(symbol)
        lots = lots_of(self.markets[index], qty)
        order_id = submit(
            self,
            symbol=index,
            side=side,
            lots=lots,
            order_type=order_type_of(limit, stop, trail),
            limit=float(limit),
            stop=float(stop),
            trail=float(trail),
            tif=tif,
            expire=expire,
            post_only=1 if post_only else 0,
            reduce_only=1 if reduce_only else 0,
            parent=0,
            group=0,
        )
        if order_id > 0 and stop_loss != 0.0:
            self._submit_exit(
                index, -side, lots, order_type_of(0.0, stop_loss, 0.0), 0.0, float(stop_loss), order_id
            )
        if order_id > 0 and take_profit != 0.0:
            self._submit_exit(index, -side, lots, LIMIT, float(take_profit), 0.0, order_id)
        return order_id

    def _submit_exit(self, index, side, lots, order_type, limit, stop, parent):
        """An exit of a bracket: it waits for its parent's fill, and the exits cancel one another."""
        submit(
            self,
            symbol=index,
            side=side,
            lots=lots,
            order_type=order_type,
            limit=limit,
            stop=stop,
            trail=0.0,
            tif=GTC,
            expire=0,
            post_only=0,
            reduce_only=1,
            parent=parent,
            group=parent,
        )

    def target(self, qty, symbol=-1):
        """Trade at market so that, with the entries already on their way, the position becomes ``qty``
        units."""
        index = self._index(symbol)
        return self._move_to(index, lots_of(self.markets[index], qty))

    def target_fraction(self, fraction, symbol=-1):
        """Trade at market towards a position worth ``fraction`` of the equity (negative: short)."""
        index = self._index(symbol)
        market = self.markets[index]
        if not market.mid > 0.0:
            return 0
        lots = lots_of(market, fraction * self.equity / market.mid)
        worth = abs(fraction * self.equity) * self.scale
        if lots != UNCOUNTABLE and lots != 0 and notional_of(market, abs(lots), market.mid) > worth:
            lots -= 1 if lots > 0 else -1
        return self._move_to(index, lots)

    def close(self, symbol=-1):
        """Cancel the symbol's orders and close its position at market."""
        index = self._index(symbol)
        self.cancel_all(index)
        return self._move(index, -self.markets[index].lots)

    def _move_to(self, index, lots):
        """Towards a position of ``lots``; one that cannot be counted is refused, not taken for none."""
        if lots == UNCOUNTABLE:
            return self._send_market(index, 1, lots, 0)
        return self._move(index, lots - self.markets[index].lots - self._coming(index))

    def _move(self, index, lots):
        if lots == 0:
            return 0
        side = 1 if lots > 0 else -1
        reduce = (
            1 if self.markets[index].lots * lots < 0 and abs(lots) <= abs(self.markets[index].lots) else 0
        )
        return self._send_market(index, side, abs(lots), reduce)

    def _send_market(self, index, side, lots, reduce):
        return submit(
            self,
            symbol=index,
            side=side,
            lots=lots,
            order_type=MARKET,
            limit=0.0,
            stop=0.0,
            trail=0.0,
            tif=GTC,
            expire=0,
            post_only=0,
            reduce_only=reduce,
            parent=0,
            group=0,
        )

    def _coming(self, index):
        """Lots that open market and limit orders will still add; exits of brackets do not count."""
        total = 0
        for i in range(self.n_active):
            order = self.orders[self.active[i]]
            if (
                order.symbol == index
                and order.order_type <= LIMIT
                and order.parent == 0
                and order.state != DONE
                and order.state != HELD
            ):
                total += order.side * order.remaining
        return total

    def cancel(self, order_id):
        """Cancel an order. False when it is not open."""
        return cancel(self, order_id) != 0

    def cancel_all(self, symbol=-1):
        """Cancel every order of one symbol, or all with ``symbol=-1``; how many were asked to go."""
        count = 0
        for i in range(self.n_active):
            order = self.orders[self.active[i]]
            if order.state != DONE and (symbol < 0 or order.symbol == symbol):
                count += cancel(self, order.id)
        return count

    def modify(self, order_id, limit=0.0, stop=0.0, qty=0.0):
        """Change the prices or the remaining quantity of an order; 0 keeps. False when not open or not
        possible."""
        slot = find_slot(self, order_id)
        if slot < 0:
            return False
        lots = lots_of(self.markets[self.orders[slot].symbol], qty)
        return modify(self, order_id, float(limit), float(stop), lots) != 0

    def oco(self, first, second):
        """Link two open orders: a fill of one cancels the other. False when one of them is not open."""
        return link(self, first, second) != 0

    def quantity(self, lots, symbol):
        """Lots of a symbol in units."""
        return quantity(self.markets[self._index(symbol)], lots)


def reject_counts(broker):
    """Rejections by reason, in words."""
    return {Reason(i).text: int(n) for i, n in enumerate(broker.rejected) if n > 0}
