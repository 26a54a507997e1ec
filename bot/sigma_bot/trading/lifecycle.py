"""The life of an order in the engine: ``Order.state`` and ``Order.venue_state``, all 20 combinations.

``state`` is the engine's, in every mode; ``venue_state`` says in LIVE where the order stands with the venue
(in SIM and in backtests it is HELD_HERE throughout, and a working order meets the market here). What the
venue's reports make of the journal's row is the table ``TRANSITIONS`` of ``model/orders.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.external import CHANGING, HELD_HERE, LEAVING, SENT
from sigma_bot.engine.types import DONE, FREE, HELD, PENDING, WORKING
from sigma_bot.runtime.checkpoint import StateError

Position = tuple[int, int]
"""(state, sent)"""
STATES = {FREE: "free", PENDING: "pending", WORKING: "working", HELD: "held", DONE: "done"}
VENUE_STATES = {HELD_HERE: "held here", SENT: "sent", LEAVING: "cancelling", CHANGING: "replacing"}


@dataclass(frozen=True, slots=True)
class Phase:
    """What a combination means, and what may follow on it directly; nothing leads into or out of one that is
    not ``legal``."""

    legal: bool
    meaning: str
    next: frozenset[Position] = frozenset()


def _phase(meaning: str, *following: Position) -> Phase:
    return Phase(True, meaning, frozenset(following))


_VENUE_HOLDS_WORKING_ONLY = Phase(False, "impossible: what is sent is working from that moment on")
_VENUE_NEVER_HOLDS_CHILDREN = Phase(False, "impossible: it waits for its parent here, and is not sent before")

LIFECYCLE: dict[Position, Phase] = {
    (FREE, HELD_HERE): _phase("no order; the slot's last one was not at the venue", (PENDING, HELD_HERE)),
    (FREE, SENT): _phase("no order; the slot's last one ended at the venue", (FREE, HELD_HERE)),
    (FREE, LEAVING): _phase("no order; the slot's last one was cancelled", (FREE, HELD_HERE)),
    (FREE, CHANGING): _phase("no order; the slot's last one filled before its change", (FREE, HELD_HERE)),
    (PENDING, HELD_HERE): _phase(
        "accepted by the risk rules, and due to be sent",
        (HELD, HELD_HERE),  # it is the exit of a bracket
        (WORKING, HELD_HERE),
        (DONE, HELD_HERE),  # cancelled, or nothing is left to sell, before it was sent
    ),
    (PENDING, SENT): _VENUE_HOLDS_WORKING_ONLY,
    (PENDING, LEAVING): _VENUE_HOLDS_WORKING_ONLY,
    (PENDING, CHANGING): _VENUE_HOLDS_WORKING_ONLY,
    (WORKING, HELD_HERE): _phase(
        "held by the bot: a stop that has not triggered, an exit, or due to be sent (again)",
        (WORKING, SENT),
        (DONE, HELD_HERE),  # cancelled, expired, denied, or the other of its group filled
    ),
    (WORKING, SENT): _phase(
        "at the venue, or on its way there; it may fill",
        (WORKING, LEAVING),  # a cancel is asked for
        (WORKING, CHANGING),  # a cancel that makes room for new terms is asked for
        (WORKING, HELD_HERE),  # it was due and did not go: due again at the next step
        (DONE, SENT),  # filled, cancelled or expired by the venue, rejected, or never arrived
    ),
    (WORKING, LEAVING): _phase(
        "a cancel is on its way; it may fill all the same",
        (WORKING, SENT),  # the cancel failed, or the bot was started again
        (DONE, LEAVING),
    ),
    (WORKING, CHANGING): _phase(
        "a cancel that makes room for new terms is on its way; it may fill all the same",
        (WORKING, SENT),  # the cancel failed, or the bot was started again
        (WORKING, HELD_HERE),  # cancelled: it goes out again with its new terms
        (DONE, CHANGING),  # filled before
    ),
    (HELD, HELD_HERE): _phase(
        "the exit of a bracket whose entry has not filled",
        (WORKING, HELD_HERE),
        (DONE, HELD_HERE),  # cancelled, or its entry ended without a fill
    ),
    (HELD, SENT): _VENUE_NEVER_HOLDS_CHILDREN,
    (HELD, LEAVING): _VENUE_NEVER_HOLDS_CHILDREN,
    (HELD, CHANGING): _VENUE_NEVER_HOLDS_CHILDREN,
    (DONE, HELD_HERE): _phase("ended without being at the venue", (FREE, HELD_HERE)),
    (DONE, SENT): _phase("ended at the venue", (FREE, SENT)),
    (DONE, LEAVING): _phase("ended while its cancel was under way", (FREE, LEAVING)),
    (DONE, CHANGING): _phase("filled while its change was under way", (FREE, CHANGING)),
}
"""DONE lasts until the engine next goes through its orders and frees the slot."""


def check_orders(broker: Broker) -> None:
    """Raises StateError when an order of a restored engine is where none can be."""
    for slot in broker.active[: broker.n_active]:
        order = broker.orders[slot]
        phase = LIFECYCLE.get((order.state, order.venue_state))
        if phase is None or not phase.legal or order.state == FREE:
            at = VENUE_STATES.get(order.venue_state, order.venue_state)
            where = f"{STATES.get(order.state, order.state)}, {at}"
            raise StateError(f"the checkpoint holds order {order.id} in a state that can't be: {where}")
