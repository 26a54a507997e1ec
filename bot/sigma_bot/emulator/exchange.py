"""The emulated exchange itself: accepts orders, matches them against the market, keeps the accounts. No I/O.

Whoever wants to know what happens adds a listener; listeners are called at once, in order, while the state is
exactly that of the event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from sigma_bot.emulator import matching
from sigma_bot.emulator.accounts import Account, Key
from sigma_bot.emulator.market import Levels, Market, whole
from sigma_bot.emulator.model import (
    ZERO,
    AssetEvent,
    BookEvent,
    DeniedError,
    Event,
    Fill,
    Order,
    OrderEvent,
    Print,
    Rules,
    Side,
    Status,
    Style,
    TapeEvent,
    Ticket,
)

EXACT = Context(prec=80)
"""Digits enough that no sum or product of balances is ever rounded."""
SATOSHI = Decimal("0.00000001")
SIDES: tuple[tuple[Side, Side], ...] = (("buy", "sell"), ("sell", "buy"))


class Exchange:
    """One venue. ``clock`` gives ns since 1970; ``first`` is where its numbers start, so that two runs of an
    emulator do not give the same id to different things."""

    def __init__(
        self,
        style: Style,
        rules: Iterable[Rules],
        clock: Callable[[], int] = time.time_ns,
        first: int | None = None,
    ) -> None:
        self.style = style
        self.skew_ns = 0
        self._clock = clock
        self._number = first if first is not None else clock() // 1_000_000
        self.markets = {r.symbol: Market(r, self._number) for r in rules}
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self.orders: dict[int, Order] = {}
        self._open: dict[str, dict[int, Order]] = {symbol: {} for symbol in self.markets}
        self.listeners: list[Callable[[Event], None]] = []

    # -- time, numbers, customers

    def now(self) -> int:
        """The exchange's clock, ns: the wall clock and its skew."""
        return self._clock() + self.skew_ns

    def fresh_number(self) -> int:
        """A number that was never given out before."""
        self._number += 1
        return self._number

    def add_account(self, name: str, balances: dict[str, Decimal], *keys: Key) -> Account:
        """A new customer with opening balances and keys."""
        account = self.accounts[name] = Account(name)
        for currency, amount in balances.items():
            account.pay_in(currency, amount)
        for key in keys:
            self.keys[key.key] = key
        return account

    def pay_in(self, name: str, currency: str, amount: Decimal) -> None:
        """A deposit (or withdrawal, negative) from outside."""
        with localcontext(EXACT):
            self.accounts[name].pay_in(currency, amount)
        self._tell(AssetEvent(name, (currency,)))

    def market(self, symbol: str) -> Market:
        """A listed market; DeniedError("market") for another symbol."""
        market = self.markets.get(symbol)
        if market is None or market.status == "delisted":
            raise DeniedError("market", symbol=symbol)
        return market

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """An account's open orders, oldest first."""
        symbols = self.markets if symbol is None else (symbol,)
        found = [o for s in symbols for o in self._open.get(s, {}).values() if o.account == account]
        return sorted(found, key=lambda o: o.number)

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    # -- orders

    def place(self, name: str, ticket: Ticket, accepted: Callable[[Order], None] | None = None) -> Order:
        """Accept an order and match it at once; ``accepted`` sees it before it trades. Raises DeniedError,
        and then nothing has happened."""
        with localcontext(EXACT):
            account, market = self.accounts[name], self.market(ticket.symbol)
            self._claim_id(account, ticket)
            self._check(account, market, ticket)
            now = self.now()
            order = Order(self.fresh_number(), name, ticket, now, now)
            pieces = self._pieces(market, ticket)
            if ticket.post_only and pieces:
                if not self.style.post_only_cancels:
                    raise DeniedError("would_take")
                pieces = []
            self._lock(account, market, order, pieces)
            self._register(account, order)
            if accepted is not None:
                accepted(order)
            self._tell(OrderEvent(order, "new"))
            self._tell_assets(order)
            self._take(market, order, pieces)
            self._rest_or_end(market, order)
            return order

    def check(self, name: str, ticket: Ticket) -> None:
        """What ``place`` would refuse, without placing."""
        with localcontext(EXACT):
            market = self.market(ticket.symbol)
            self._check(self.accounts[name], market, ticket)

    def _claim_id(self, account: Account, ticket: Ticket) -> None:
        if not ticket.client_id:
            return
        if self.style.ids_for_ever:
            if ticket.client_id in account.seen:
                raise DeniedError("duplicate", client_id=ticket.client_id)
            account.seen.add(ticket.client_id)
            return
        earlier = account.latest.get(ticket.client_id)
        if earlier is not None and earlier.status is Status.OPEN:
            raise DeniedError("duplicate", client_id=ticket.client_id)

    def _check(self, account: Account, market: Market, ticket: Ticket) -> None:
        rules = market.rules
        if market.status != "trading":
            raise DeniedError("closed", symbol=rules.symbol)
        if ticket.limit is not None:
            if ticket.limit <= 0 or ticket.limit % rules.tick(ticket.limit):
                raise DeniedError("price", limit=ticket.limit, tick=rules.tick(ticket.limit))
            self._check_percent(market, ticket.limit)
        if ticket.quantity is not None:
            if not rules.min_quantity <= ticket.quantity <= rules.max_quantity or ticket.quantity % rules.lot:
                raise DeniedError("quantity", quantity=ticket.quantity)
            if ticket.kind == "market" and ticket.quantity > rules.market_most:
                raise DeniedError("market_quantity", quantity=ticket.quantity)
        money = self._money(market, ticket)
        if money is not None and (money < rules.min_notional or money <= 0):
            raise DeniedError("notional", money=money, minimum=rules.min_notional)
        if rules.max_notional is not None and money is not None:
            if money > rules.max_notional and (rules.max_at_market or ticket.limit is not None):
                raise DeniedError("notional", money=money, maximum=rules.max_notional)
        if len(self.open_orders(account.name, rules.symbol)) >= rules.max_orders:
            raise DeniedError("too_many", limit=rules.max_orders)

    @staticmethod
    def _check_percent(market: Market, limit: Decimal) -> None:
        bid, ask, band = market.best("buy"), market.best("sell"), market.rules.percent
        if band is None or bid is None or ask is None:
            return
        mid = (bid[0] + ask[0]) / 2
        if not mid * band[0] <= limit <= mid * band[1]:
            raise DeniedError("percent", limit=limit, mid=mid)

    @staticmethod
    def _money(market: Market, ticket: Ticket) -> Decimal | None:
        if ticket.funds is not None:
            return ticket.funds
        price = ticket.limit
        if price is None:
            best = market.best("sell" if ticket.side == "buy" else "buy")
            price = best[0] if best else None
        return None if price is None or ticket.quantity is None else price * ticket.quantity

    @staticmethod
    def _pieces(market: Market, ticket: Ticket) -> list[matching.Piece]:
        other: Side = "sell" if ticket.side == "buy" else "buy"
        pieces = matching.sweep(
            market.levels(other), ticket.side, ticket.limit, ticket.quantity, ticket.funds, market.rules.lot
        )
        if ticket.tif == "fok" and ticket.quantity is not None:
            if sum(q for _, q in pieces) < ticket.quantity:
                return []
        return pieces

    def _lock(self, account: Account, market: Market, order: Order, pieces: list[matching.Piece]) -> None:
        ticket, rules = order.ticket, market.rules
        if ticket.side == "sell":
            account.lock(order, rules.base, ticket.quantity or ZERO)
            return
        money = ticket.funds
        if money is None:
            quantity = ticket.quantity or ZERO
            money = sum((p * q for p, q in pieces), ZERO) if ticket.limit is None else ticket.limit * quantity
        order.reserved_fee = money * self._reserve_rate(rules)
        account.lock(order, rules.quote, money + order.reserved_fee)

    def _reserve_rate(self, rules: Rules) -> Decimal:
        return max(rules.maker, rules.taker) if self.style.fee_in == "quote" else ZERO

    def _register(self, account: Account, order: Order) -> None:
        account.orders.append(order)
        self.orders[order.number] = order
        self._open[order.ticket.symbol][order.number] = order
        if order.ticket.client_id:
            account.latest[order.ticket.client_id] = order

    def _take(self, market: Market, order: Order, pieces: list[matching.Piece]) -> None:
        taken, ticket = ZERO, order.ticket
        for place, piece in enumerate(pieces, 1):
            taken += piece[1]
            last = place == len(pieces) and (taken == ticket.quantity or self._spent(market, ticket, pieces))
            self._fill(market, order, piece, maker=False, last=last)
        self._consume(market, ticket.side, pieces)

    def _spent(self, market: Market, ticket: Ticket, pieces: list[matching.Piece]) -> bool:
        """Whether an order by money has got all it could: what is left buys no further lot."""
        if ticket.funds is None:
            return False
        rest = ticket.funds - sum(p * q for p, q in pieces)
        return rest == 0 or (not self.style.dust_cancels and rest < pieces[-1][0] * market.rules.lot)

    def _fill(self, market: Market, order: Order, piece: matching.Piece, maker: bool, last: bool) -> None:
        account, rules, ts = self.accounts[order.account], market.rules, self.now()
        fill = self._execution(account, rules, order, piece, maker, ts)
        account.settle(order, fill, rules.base, rules.quote, self._share(rules, order, fill))
        order.fills.append(fill)
        order.executed, order.funds = order.executed + fill.quantity, order.funds + fill.funds
        order.paid_fee, order.updated = order.paid_fee + fill.fee, ts
        if last:
            self._end(order, Status.FILLED)
        self._tell(OrderEvent(order, "trade", fill))
        self._tell(AssetEvent(order.account, (rules.base, rules.quote)))

    def _execution(
        self, account: Account, rules: Rules, order: Order, piece: matching.Piece, maker: bool, ts: int
    ) -> Fill:
        side, (price, quantity) = order.ticket.side, piece
        funds, rate = price * quantity, rules.maker if maker else rules.taker
        if self.style.fee_in == "quote":
            fee, currency = funds * rate, rules.quote
        elif side == "buy":
            fee, currency = (quantity * rate).quantize(SATOSHI, ROUND_HALF_UP), rules.base
        else:
            fee, currency = (funds * rate).quantize(SATOSHI, ROUND_HALF_UP), rules.quote
        if account.fee_currency:
            other = (funds * rate / account.fee_price).quantize(SATOSHI, ROUND_HALF_UP)
            bought = quantity if (side, rules.base) == ("buy", account.fee_currency) else ZERO
            if other <= account.holding(account.fee_currency).free + bought:
                fee, currency = other, account.fee_currency
        return Fill(
            self.fresh_number(),
            rules.symbol,
            order.number,
            side,
            price,
            quantity,
            funds,
            fee,
            currency,
            maker,
            ts,
        )

    def _share(self, rules: Rules, order: Order, fill: Fill) -> Decimal:
        if fill.side == "sell":
            return fill.quantity
        if order.ticket.limit is not None:
            return order.ticket.limit * fill.quantity * (1 + self._reserve_rate(rules))
        return fill.funds * (1 + self._reserve_rate(rules))

    def _rest_or_end(self, market: Market, order: Order) -> None:
        ticket = order.ticket
        if order.status is not Status.OPEN:
            return
        takes = ticket.post_only and self._pieces(market, ticket)
        if ticket.kind == "market" or ticket.tif != "gtc" or takes:
            self._finish(order, Status.EXPIRED)
            return
        displayed = market.bids if ticket.side == "buy" else market.asks
        order.ahead = displayed.get(ticket.limit or ZERO, ZERO)

    def _finish(self, order: Order, status: Status) -> None:
        self._end(order, status)
        order.updated = self.now()
        self._tell(OrderEvent(order, status.value))
        self._tell_assets(order)

    def _end(self, order: Order, status: Status) -> None:
        rules = self.markets[order.ticket.symbol].rules
        order.status = status
        self._open[order.ticket.symbol].pop(order.number, None)
        self.accounts[order.account].release(order, rules.quote if order.ticket.side == "buy" else rules.base)

    def _tell_assets(self, order: Order) -> None:
        rules = self.markets[order.ticket.symbol].rules
        self._tell(AssetEvent(order.account, (rules.quote if order.ticket.side == "buy" else rules.base,)))

    def cancel(self, order: Order) -> Order:
        """End an open order. Raises DeniedError("gone") when it is not open any more."""
        if order.status is not Status.OPEN:
            raise DeniedError("gone", order=order.number)
        with localcontext(EXACT):
            self._finish(order, Status.CANCELLED)
        return order

    # -- the market

    def set_book(self, symbol: str, bids: Levels, asks: Levels) -> None:
        """Replace a market's displayed book: {price: size}. Raises DeniedError("market")."""
        market = self.market(symbol)
        self.change_book(symbol, whole(market.bids, bids), whole(market.asks, asks))

    def change_book(self, symbol: str, bids: Levels, asks: Levels) -> None:
        """Set single levels of a market's displayed book (size 0 removes one). Resting orders that the book
        has moved onto or through fill at their own price, by what is displayed there."""
        with localcontext(EXACT):
            market = self.market(symbol)
            self._apply(market, bids, asks)
            resting = list(self._open[symbol].values())
            if not resting:
                return
            for side, other in SIDES:
                for order, pieces in matching.crossed(matching.in_turn(resting, side), market.levels(other)):
                    self._make(market, order, sum((q for _, q in pieces), ZERO))
                    self._consume(market, side, pieces)

    def trade(self, symbol: str, price: Decimal, size: Decimal, taker: Side) -> Print:
        """A trade of others: printed on the tape, and resting orders it reaches fill by its size."""
        with localcontext(EXACT):
            market = self.market(symbol)
            trade = Print(self.fresh_number(), price, size, taker, self.now())
            market.print(trade)
            self._tell(TapeEvent(symbol, trade))
            resting = list(self._open[symbol].values())
            if resting:
                served = matching.in_turn(resting, "sell" if taker == "buy" else "buy")
                for order, quantity in matching.hit(served, price, size):
                    self._make(market, order, quantity)
            return trade

    def _make(self, market: Market, order: Order, quantity: Decimal) -> None:
        last = quantity == order.remaining
        self._fill(market, order, (order.ticket.limit or ZERO, quantity), maker=True, last=last)

    def _consume(self, market: Market, side: Side, pieces: Iterable[matching.Piece]) -> None:
        """What was taken is no longer displayed, until the recording says otherwise."""
        book = market.asks if side == "buy" else market.bids
        left: dict[Decimal, Decimal] = {}
        for price, quantity in pieces:
            left[price] = left.get(price, book[price]) - quantity
        if left:
            self._apply(market, {} if side == "buy" else left, left if side == "buy" else {})

    def _apply(self, market: Market, bids: Levels, asks: Levels) -> None:
        before, first = (market.best("buy"), market.best("sell")), market.update_id + 1
        changed = market.apply(bids, asks)
        if not changed["buy"] and not changed["sell"]:
            return
        market.updated = self.now()
        for side, displayed in (("buy", market.bids), ("sell", market.asks)):
            resting = (o for o in self._open[market.rules.symbol].values() if o.ticket.side == side)
            matching.shrink_queues(resting, displayed)
        best = before != (market.best("buy"), market.best("sell"))
        symbol = market.rules.symbol
        self._tell(BookEvent(symbol, best, changed["buy"], changed["sell"], first, market.update_id))
