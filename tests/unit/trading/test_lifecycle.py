"""Random lives of orders at a venue: the engine takes legal combinations and transitions only, and all of
them."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from sigma_bot.engine import external
from sigma_bot.engine.types import DONE, E_CANCEL, E_EXPIRE, FREE, GTD, R_VENUE, WORKING, Order
from sigma_bot.model.messages import TickBatch, TickMessage
from sigma_bot.runtime.checkpoint import StateError
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.spec import parse_manifest
from sigma_bot.strategy import Strategy
from sigma_bot.times import SECOND
from sigma_bot.trading.lifecycle import LIFECYCLE, STATES, VENUE_STATES, Position, check_orders

NOW = 1_700_000_000_000_000_000
DOCS = Path(__file__).parents[3] / "docs" / "trading.md"
MANIFEST = {
    "apiVersion": "sigma-x.io/v1alpha1",
    "kind": "Strategy",
    "metadata": {"name": "random"},
    "spec": {
        "mode": "live",
        "strategy": {"code": "unused"},
        "markets": [
            {"symbol": symbol, "tickSize": "0.01", "lotSize": "0.001", "fees": {"taker": "0"}}
            for symbol in ("AAABBB", "CCCBBB")
        ],
        "account": {
            "venue": "binance",
            "name": "main",
            "currency": "BBB",
            "cash": "100000",
            "secretRef": {"name": "keys"},
            "confirm": {"account": "main", "maxLoss": "50000"},
        },
        "risk": {
            "maxPosition": "100",
            "maxNotional": "10000",
            "maxDailyLoss": "50000",
            "staleAfter": "30s",
        },
    },
}
written: list[tuple[Position, Position]] = []


class Recorded(Order):
    """An order whose every change of state is written down."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("state", "venue_state"):
            object.__setattr__(self, name, value)
            return
        before = (self.state, self.venue_state)
        object.__setattr__(self, name, value)
        after = (self.state, self.venue_state)
        if before != after:
            written.append((before, after))


class RandomStrategy(Strategy):
    """Orders of every kind, cancels and changes."""

    random = random.Random()

    def on_tick(self, tick, broker):
        rng, symbol = self.random, tick.symbol
        open_ids = [broker.orders[slot].id for slot in broker.active[: broker.n_active]]
        side = rng.choice((broker.buy, broker.sell))
        away = rng.choice((-3.0, -1.0, 1.0, 3.0))
        what = rng.randrange(12)
        if what == 0:
            side(1.0, symbol=symbol)
        elif what == 1:
            side(1.0, symbol=symbol, limit=tick.last + away)
        elif what == 2:
            side(1.0, symbol=symbol, stop=tick.last + away)
        elif what == 3:
            side(1.0, symbol=symbol, trail=1.0)
        elif what == 4:
            broker.buy(1.0, symbol=symbol, stop_loss=tick.last - 2.0, take_profit=tick.last + 2.0)
        elif what == 5:
            side(1.0, symbol=symbol, limit=tick.last + away, tif=GTD, expire=tick.ts + 3 * SECOND)
        elif what == 6 and len(open_ids) > 1:
            broker.oco(*rng.sample(open_ids, 2))
        elif what == 7 and open_ids:
            broker.cancel(rng.choice(open_ids))
        elif what in (8, 9) and open_ids:
            broker.modify(rng.choice(open_ids), limit=tick.last + away, qty=rng.choice((0.0, 0.5, 2.0)))
        elif what == 10:
            broker.close(symbol)


class Venue:
    """Fills, ends and keeps what it is sent, at random."""

    def __init__(self, seed: int) -> None:
        strategy = RandomStrategy()
        self.random = strategy.random
        self.random.seed(seed)
        self.decisions = DecisionEngine(parse_manifest(MANIFEST).spec, strategy)  # type: ignore[arg-type]
        self.broker = self.decisions.broker
        for order in self.broker.orders:
            order.__class__ = Recorded
        self.seq = 0

    def tick(self) -> None:
        self.seq += 1
        price = 100.0 + self.random.randint(-40, 40) / 10
        ticks = tuple(
            TickMessage(
                name, price - 0.01, price + 0.01, 9.0, 9.0, price, 1.0, price - 1.0, price + 1.0, 0, 0
            )
            for name in self.decisions.symbols
        )
        self.decisions.handle(TickBatch("binance", self.seq, NOW + self.seq * SECOND, (), ticks))

    def send(self) -> None:
        for what, order in external.due_commands(self.broker):
            fate = self.random.random()
            if what == external.SEND and fate < 0.2:
                external.hold_back(order)
            elif what == external.SEND and fate < 0.3:
                external.order_ended(self.broker, order.id, E_CANCEL, R_VENUE)

    def report(self) -> None:
        for order in [
            o for o in self.broker.orders if o.state == WORKING and o.venue_state != external.HELD_HERE
        ]:
            fate = self.random.random()
            if order.state != WORKING or order.venue_state == external.HELD_HERE:
                continue  # one of its group filled before
            if fate < 0.3:
                lots = order.remaining if fate < 0.2 else max(order.remaining // 2, 1)
                price = 100.0
                external.order_filled(
                    self.broker, order.id, order.symbol, order.side, lots, price, 0, self.broker.ts, 0
                )
            elif fate < 0.6 and order.venue_state != external.SENT:
                external.order_ended(self.broker, order.id, E_CANCEL, R_VENUE)
            elif fate < 0.7:
                external.order_ended(self.broker, order.id, E_EXPIRE, 0)
            elif fate < 0.8:
                external.cancel_failed(self.broker, order.id)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.tick()
            self.send()
            self.report()
            self.decisions.deliver_fills()
            if self.random.random() < 0.02:
                self.decisions.cancel_all()
            self.decisions.take_events()
            check_orders(self.broker)


def test_all_twenty_combinations_are_in_the_table() -> None:
    assert set(LIFECYCLE) == {(state, sent) for state in STATES for sent in VENUE_STATES}
    assert len(LIFECYCLE) == 20
    for position, phase in LIFECYCLE.items():
        assert bool(phase.next) == phase.legal, position
        assert all(LIFECYCLE[following].legal for following in phase.next), position


def test_the_engine_takes_legal_transitions_only_and_all_of_them() -> None:
    written.clear()
    for seed in range(40):
        Venue(seed).run(150)
    seen = Counter(written)
    legal = {(before, after) for before, phase in LIFECYCLE.items() for after in phase.next}
    assert not seen.keys() - legal, "not in the table"
    assert not legal - seen.keys(), "in the table, and never seen"


def test_a_checkpoint_with_an_order_where_none_can_be_is_refused() -> None:
    venue = Venue(1)
    while not venue.broker.n_active:
        venue.tick()
    check_orders(venue.broker)
    order = venue.broker.orders[venue.broker.active[0]]
    for position in [at for at, phase in LIFECYCLE.items() if not phase.legal or at[0] == FREE]:
        order.state, order.venue_state = position
        with pytest.raises(StateError, match=f"order {order.id} "):
            check_orders(venue.broker)
    order.state, order.venue_state = DONE, external.HELD_HERE
    check_orders(venue.broker)


def test_the_documentation_has_the_table() -> None:
    rows = re.findall(r"^\| ([a-z]+) \| ([a-z ]+) \| (.*) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    documented = {(state, sent): (meaning, following) for state, sent, meaning, following in rows}
    for (state, sent), phase in LIFECYCLE.items():
        meaning, following = documented[STATES[state], VENUE_STATES[sent]]
        assert meaning == phase.meaning
        names = {f"{STATES[s]}, {VENUE_STATES[t]}" for s, t in phase.next}
        assert set(filter(None, following.split("; "))) == names
