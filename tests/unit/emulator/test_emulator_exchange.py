"""The emulated exchange's core: matching, accounts, refusals."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.model import DeniedError, OrderEvent, Status, Ticket
from sigma_bot.emulator.registry import emulated, rules_for

SYMBOL = {"binance": "BTCUSDT", "upbit": "KRW-BTC"}
QUOTE = {"binance": "USDT", "upbit": "KRW"}


def exchange(venue: str = "binance", money: str = "100000", coins: str = "5") -> Exchange:
    made = Exchange(emulated(venue).style, rules_for(venue, [SYMBOL[venue]]), clock=lambda: 10**18, first=100)
    made.add_account("a", {QUOTE[venue]: D(money), "BTC": D(coins)})
    return made


def limit(side: str, quantity: str, price: str, venue: str = "binance", **more: Any) -> Ticket:
    return Ticket(SYMBOL[venue], side, "limit", D(quantity), None, D(price), **more)  # type: ignore[arg-type]


def book(made: Exchange, bids: dict[str, str], asks: dict[str, str]) -> None:
    (symbol,) = made.markets
    made.set_book(symbol, *({D(p): D(q) for p, q in side.items()} for side in (bids, asks)))


def filled(order) -> list[tuple[D, D, bool]]:
    return [(f.price, f.quantity, f.maker) for f in order.fills]


class TestTaking:
    def test_a_limit_order_takes_what_is_displayed_up_to_its_limit_and_rests_with_the_rest(self):
        made = exchange()
        book(made, {"99": "1"}, {"100": "1", "101": "2", "102": "5"})
        order = made.place("a", limit("buy", "4", "101"))
        assert filled(order) == [(D(100), D(1), False), (D(101), D(2), False)]
        assert order.status is Status.OPEN
        assert order.remaining == 1
        assert made.accounts["a"].holding("USDT").locked == 101

    def test_what_was_taken_is_gone_until_the_book_is_set_again(self):
        made = exchange()
        book(made, {}, {"100": "1", "101": "1"})
        made.place("a", limit("buy", "0.4", "100"))
        assert made.markets["BTCUSDT"].levels("sell")[0] == (D(100), D("0.6"))
        book(made, {}, {"100": "1", "101": "1"})
        assert made.markets["BTCUSDT"].levels("sell")[0] == (D(100), D(1))

    def test_a_market_order_beyond_the_book_expires_with_what_it_got(self):
        made = exchange()
        book(made, {"99": "1"}, {"100": "1"})
        order = made.place("a", Ticket("BTCUSDT", "sell", "market", D(3)))
        assert filled(order) == [(D(99), D(1), False)]
        assert order.status is Status.EXPIRED
        assert made.accounts["a"].holding("BTC").locked == 0

    def test_ioc_expires_with_the_rest_and_fok_does_nothing_by_halves(self):
        made = exchange()
        book(made, {}, {"100": "1"})
        fok = made.place("a", limit("buy", "2", "100", tif="fok"))
        assert (fok.status, fok.executed) == (Status.EXPIRED, 0)
        ioc = made.place("a", limit("buy", "2", "100", tif="ioc"))
        assert (ioc.status, ioc.executed) == (Status.EXPIRED, 1)

    def test_post_only_is_refused_at_one_venue_and_cancelled_at_the_other(self):
        made = exchange()
        book(made, {}, {"100": "1"})
        with pytest.raises(DeniedError, match="would_take"):
            made.place("a", limit("buy", "1", "100", post_only=True))
        made = exchange("upbit", money="1000000000")
        book(made, {}, {"67000000": "1"})
        order = made.place("a", limit("buy", "1", "67000000", "upbit", post_only=True))
        assert (order.status, order.fills) == (Status.EXPIRED, [])

    def test_an_order_by_money_buys_whole_lots_and_its_dust_ends_it_by_the_venues_custom(self):
        made = exchange()
        book(made, {}, {"300": "5"})
        order = made.place("a", Ticket("BTCUSDT", "buy", "market", funds=D(100)))
        assert filled(order) == [(D(300), D("0.33333"), False)]
        assert order.status is Status.FILLED
        made = exchange("upbit")
        book(made, {}, {"30000": "5"})
        order = made.place("a", Ticket("KRW-BTC", "buy", "market", funds=D(10000)))
        assert filled(order) == [(D(30000), D("0.33333333"), False)]
        assert order.status is Status.EXPIRED


class TestResting:
    def test_what_was_displayed_before_it_is_served_before_it(self):
        made = exchange()
        book(made, {"99": "2"}, {"100": "1"})
        order = made.place("a", limit("buy", "1", "99"))
        made.trade("BTCUSDT", D(99), D("1.5"), "sell")
        assert order.executed == 0
        made.trade("BTCUSDT", D(99), D("1"), "sell")
        assert filled(order) == [(D(99), D("0.5"), True)]

    def test_a_cancel_ahead_moves_it_forward(self):
        made = exchange()
        book(made, {"99": "2"}, {"100": "1"})
        order = made.place("a", limit("buy", "1", "99"))
        book(made, {"99": "0.25"}, {"100": "1"})
        made.trade("BTCUSDT", D(99), D("1"), "sell")
        assert order.executed == D("0.75")

    def test_a_trade_through_its_price_fills_it_whole_at_its_own_price(self):
        made = exchange()
        book(made, {"99": "9"}, {"100": "1"})
        order = made.place("a", limit("buy", "1", "99"))
        made.trade("BTCUSDT", D(98), D("5"), "sell")
        assert filled(order) == [(D(99), D(1), True)]
        assert order.status is Status.FILLED

    def test_better_prices_and_then_older_orders_come_first(self):
        made = exchange()
        book(made, {"90": "1"}, {"100": "1"})
        low, first, second = (made.place("a", limit("buy", "1", p)) for p in ("98", "99", "99"))
        made.trade("BTCUSDT", D(98), D("1.5"), "sell")
        assert [o.executed for o in (low, first, second)] == [0, 1, D("0.5")]

    def test_a_buyer_at_the_tape_does_not_reach_a_resting_buy(self):
        made = exchange()
        book(made, {"90": "1"}, {"100": "1"})
        order = made.place("a", limit("buy", "1", "99"))
        made.trade("BTCUSDT", D(98), D(5), "buy")
        assert order.executed == 0

    def test_a_book_that_moves_onto_it_fills_it_by_the_displayed_size(self):
        made = exchange()
        book(made, {"90": "1"}, {"100": "1"})
        order = made.place("a", limit("buy", "2", "99"))
        book(made, {"90": "1"}, {"98": "0.5", "99": "1", "100": "1"})
        assert filled(order) == [(D(99), D("1.5"), True)]
        assert made.markets["BTCUSDT"].levels("sell") == [(D(100), D(1))]


class TestRefusals:
    @pytest.mark.parametrize(
        ("ticket", "reason"),
        [
            (limit("buy", "1", "99.001"), "price"),
            (limit("buy", "1.000001", "99"), "quantity"),
            (limit("buy", "0.01", "99"), "notional"),
            (limit("buy", "2000", "99"), "balance"),
            (limit("sell", "6", "99"), "balance"),
            (limit("buy", "1", "9999"), "percent"),
            (Ticket("ETHUSDT", "buy", "limit", D(1), None, D(1)), "market"),
        ],
    )
    def test_the_rules_of_a_market_hold(self, ticket, reason):
        made = exchange()
        book(made, {"99": "1"}, {"100": "1"})
        with pytest.raises(DeniedError) as caught:
            made.place("a", ticket)
        assert caught.value.reason == reason
        assert not made.orders
        assert made.accounts["a"].holding("USDT").free == 100_000

    def test_upbits_tick_follows_the_price(self):
        made = exchange("upbit", money="1000000000")
        made.place("a", limit("buy", "1", "999500", "upbit"))
        with pytest.raises(DeniedError, match="price"):
            made.place("a", limit("buy", "1", "1000500", "upbit"))

    def test_a_suspended_market_takes_no_orders_but_lets_them_go(self):
        made = exchange()
        order = made.place("a", limit("buy", "1", "99"))
        made.markets["BTCUSDT"].status = "suspended"
        with pytest.raises(DeniedError, match="closed"):
            made.place("a", limit("buy", "1", "99"))
        assert made.cancel(order).status is Status.CANCELLED
        with pytest.raises(DeniedError, match="gone"):
            made.cancel(order)

    def test_binance_takes_an_id_again_once_its_order_is_done_upbit_never(self):
        made = exchange()
        book(made, {}, {"100": "1"})
        resting = made.place("a", limit("buy", "1", "99", client_id="x"))
        with pytest.raises(DeniedError, match="duplicate"):
            made.place("a", limit("buy", "1", "99", client_id="x"))
        made.cancel(resting)
        again = made.place("a", limit("buy", "1", "99", client_id="x"))
        assert made.accounts["a"].latest["x"] is again
        made = exchange("upbit")
        with pytest.raises(DeniedError, match="balance"):
            made.place("a", limit("buy", "1", "67000000", "upbit", client_id="x"))
        with pytest.raises(DeniedError, match="duplicate"):
            made.place("a", limit("buy", "0.001", "67000000", "upbit", client_id="x"))


class TestFees:
    def test_upbit_takes_its_fee_in_won_on_top_or_out_of_the_proceeds(self):
        made = exchange("upbit", money="1000000")
        book(made, {"50000": "1"}, {"60000": "1"})
        made.place("a", limit("buy", "1", "60000", "upbit"))
        won = made.accounts["a"].holding("KRW")
        assert (won.free, won.locked) == (D(1_000_000 - 60_030), 0)
        made.place("a", limit("sell", "1", "50000", "upbit"))
        assert won.free == D(1_000_000 - 60_030 + 50_000 - 25)

    def test_binance_takes_its_fee_in_what_was_received(self):
        made = exchange()
        book(made, {"99": "1"}, {"100": "1"})
        made.place("a", limit("buy", "1", "100"))
        made.place("a", limit("sell", "1", "99"))
        held = made.accounts["a"].holdings
        assert held["BTC"].free == D("4.999")
        assert held["USDT"].free == D(100_000) - 100 + 99 - D("0.099")


def tickets(venue: str):
    symbol, step = SYMBOL[venue], D("0.01") if venue == "binance" else D(1000)
    base = D(100) if venue == "binance" else D(2_000_000)
    price = st.integers(-8, 8).map(lambda n: base + n * step)
    lot = D("0.00001") if venue == "binance" else D("0.00000001")
    quantity = st.integers(1, 5_000_000).map(lambda n: n * lot)
    side = st.sampled_from(("buy", "sell"))
    tif = st.sampled_from(("gtc", "gtc", "ioc", "fok"))
    limits = st.builds(
        lambda s, q, p, t, post: Ticket(symbol, s, "limit", q, None, p, t, post and t == "gtc"),
        side, quantity, price, tif, st.booleans(),
    )  # fmt: skip
    markets = st.builds(lambda s, q: Ticket(symbol, s, "market", q), side, quantity)
    money = st.integers(500, 9_000_000_000).map(lambda n: Ticket(symbol, "buy", "market", funds=D(n) / 100))
    book_side = st.dictionaries(st.integers(1, 6), quantity, max_size=4)
    books = st.builds(
        lambda shift, bids, asks: (
            {base + (shift - n) * step: q for n, q in bids.items()},
            {base + (shift + n) * step: q for n, q in asks.items()},
        ),
        st.integers(-5, 5), book_side, book_side,
    )  # fmt: skip
    return st.one_of(
        limits, limits, markets, money, books, st.tuples(price, quantity, side), st.integers(0, 50)
    )


@pytest.mark.parametrize("venue", ["binance", "upbit"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_balances_are_the_opening_and_the_fills_to_the_last_digit(venue, data):
    made = exchange(venue, money="98765432.1", coins="7.00000001")
    events: list[OrderEvent] = []
    made.listeners.append(lambda e: events.append(e) if isinstance(e, OrderEvent) else None)
    for action in data.draw(st.lists(tickets(venue), max_size=40)):
        carry_out(made, action)
        check_books(made)
    assert [e.fill for e in events if e.fill] == made.accounts["a"].fills()


def carry_out(made: Exchange, action: object) -> None:
    (symbol,) = made.markets
    if isinstance(action, Ticket):
        try:
            made.place("a", action)
        except DeniedError as error:
            if error.reason not in ("balance", "notional", "would_take"):
                raise
    elif isinstance(action, int):
        orders = made.accounts["a"].orders
        if action < len(orders) and orders[action].status is Status.OPEN:
            made.cancel(orders[action])
    elif len(action) == 2:  # type: ignore[arg-type]
        made.set_book(symbol, *action)  # type: ignore[misc]
    else:
        made.trade(symbol, *action)  # type: ignore[misc]


def check_books(made: Exchange) -> None:
    account, (market,) = made.accounts["a"], made.markets.values()
    base, quote = market.rules.base, market.rules.quote
    total = defaultdict(D, account.opening)
    for fill in account.fills():
        sign = 1 if fill.side == "buy" else -1
        total[base] += sign * fill.quantity
        total[quote] -= sign * fill.price * fill.quantity
        total[fill.fee_currency] -= fill.fee
    locked: dict[str, D] = defaultdict(D)
    for order in account.orders:
        assert order.executed == sum(f.quantity for f in order.fills)
        assert order.ticket.quantity is None or order.executed <= order.ticket.quantity
        assert order.locked == 0 or order.status is Status.OPEN
        locked[quote if order.ticket.side == "buy" else base] += order.locked
    for currency, holding in account.holdings.items():
        assert holding.free + holding.locked == total[currency]
        assert holding.locked == locked[currency]
        assert holding.free >= 0
    for price, size in market.levels("buy") + market.levels("sell"):
        assert size > 0, price
