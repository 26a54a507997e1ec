"""The cases: what the strategy does, what the venue answers, and where the bot dies."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_case
from typing import Any

from sigma_bot.model.orders import OrderRow, State
from tests.crash.crash_strategy import BRACKET, BUY, CANCEL, MODIFY, REST, SELL, STOP, TAKE
from tests.crash.crash_world import NOTHING, CaseError, World

Story = Callable[[World], Awaitable[None]]


async def market(w: World) -> None:
    """Filled at once."""
    await w.tell(BUY)


async def rest(w: World) -> None:
    """Accepted, resting."""
    await w.tell(REST)


async def part(w: World) -> None:
    """Partly filled, then resting, then filled."""
    w.book(w.price, "0.004")
    await w.tell(TAKE)
    w.em.exchange.trade(w.symbol, w.price + w.step, w.step / w.step, "sell")
    await w.tell(NOTHING)


async def close(w: World) -> None:
    """Bought and sold."""
    await w.tell(BUY)
    await w.tell(SELL)


async def cancel(w: World) -> None:
    """Resting, then cancelled."""
    await w.tell(REST)
    await w.tell(CANCEL)


async def replace(w: World) -> None:
    """Resting, changed: cancelled and sent anew."""
    await w.tell(REST)
    await w.tell(MODIFY)


async def profit(w: World) -> None:
    """A bracket whose profit is taken."""
    await w.tell(BRACKET)
    w.book(w.price * 12 // 10)
    await w.tell(NOTHING)
    await w.tell(NOTHING)


async def loss(w: World) -> None:
    """A bracket whose stop is hit: its other exit goes first."""
    await w.tell(BRACKET)
    w.book(w.price * 8 // 10)
    await w.tell(NOTHING)
    await w.tell(NOTHING)


async def leave(w: World) -> None:
    """A bracket that is closed at market while its profit rests: that goes first, it binds the holding."""
    await w.tell(BRACKET)
    await w.tell(SELL)


async def stop(w: World) -> None:
    """A stop that triggers."""
    await w.tell(STOP)
    w.book(w.price * 11 // 10)
    await w.tell(NOTHING)


STORIES: dict[str, Story] = {
    s.__name__: s for s in (market, rest, part, close, cancel, replace, profit, loss, leave, stop)
}
REFUSAL = {
    "binance": (400, '{"code":-2010,"msg":"Account has insufficient balance for requested action."}'),
    "upbit": (400, '{"error":{"name":"insufficient_funds_bid","message":"not enough"}}'),
}
ANSWERS: dict[str, tuple[dict[str, Any], ...]] = {
    "plain": (),
    "refused": ({"action": "answer", "refusal": True},),
    "drop-before": ({"action": "drop"},),
    "drop-after": ({"action": "drop", "when": "after"},),
    "5xx-before": ({"action": "answer", "status": 503},),
    "5xx-after": ({"action": "answer", "when": "after", "status": 502},),
    "held-before": ({"action": "hold", "kill": True},),
    "held-after": ({"action": "hold", "when": "after", "kill": True},),
    "duplicate": ({"on": "event", "action": "duplicate", "times": 0},),
    "late": ({"on": "event", "action": "delay", "seconds": 0.2, "times": 0},),
    "swapped": ({"on": "event", "action": "swap", "times": 1},),
    "lost": ({"on": "event", "action": "drop", "times": 0},),
    "cut": ({"on": "event", "action": "cut", "times": 1},),
    "silent": ({"on": "event", "action": "silence", "times": 1},),
}


@dataclass(frozen=True)
class Case:
    """One case. ``skip``: how many orders (or cancels) go well before the fault."""

    venue: str
    database: str  # sqlite, postgres
    story: str
    answer: str
    crashes: tuple[str, ...]
    on: str = "order.create"
    skip: int = 0

    def __str__(self) -> str:
        where = f"{self.on}+{self.skip}" if self.answer != "plain" else ""
        return ":".join((self.venue, self.database, self.story, self.answer, where, "/".join(self.crashes)))


# the requests of a story that can go wrong: (what, how many go well before)
REQUESTS: dict[str, tuple[tuple[str, int], ...]] = {
    "market": (("order.create", 0),),
    "rest": (("order.create", 0),),
    "part": (("order.create", 0),),
    "close": (("order.create", 0), ("order.create", 1)),
    "cancel": (("order.create", 0), ("order.cancel", 0)),
    "replace": (("order.cancel", 0), ("order.create", 1)),
    "profit": (("order.create", 0), ("order.create", 1)),
    "loss": (("order.create", 1), ("order.cancel", 0), ("order.create", 2)),
    "leave": (("order.create", 1), ("order.cancel", 0), ("order.create", 2)),
    "stop": (("order.create", 0),),
}
RECOVERY = (
    "reconcile.before:1",
    "reconcile.asked:1",
    "lookup.before:1",
    "lookup.answered:1",
    "commit.before:1",
)
"""Where the second start may die too, before it is ready."""
DATABASES = ("sqlite", "postgres")
# how many orders a story decides on: at least (when nothing reaches the venue) and at most
DECISIONS = {
    "market": (1, 1),
    "rest": (1, 1),
    "part": (1, 1),
    "close": (1, 2),
    "cancel": (1, 1),
    "replace": (1, 1),
    "profit": (1, 2),
    "loss": (1, 3),
    "leave": (1, 3),
    "stop": (1, 1),
}


def check_decisions(case: Case, w: World, rows: list[OrderRow]) -> None:
    """No decision was lost, and none was made twice. Raises CaseError."""
    least, most = DECISIONS[case.story]
    if case.answer in ("plain", *EVENTS) and not case.crashes:
        least = most
    decided = len({row.order_id for row in rows})
    if not least <= decided <= most:
        raise CaseError(f"{decided} orders were decided on, {least} to {most} are in the story")
    if case.story == "cancel" and case.answer != "refused" and w.em.exchange.open_orders("main"):
        raise CaseError("the cancel was lost")
    # what was stored and not sent when the bot died is not sent later: its price is another by then
    given_up = any(row.side == "sell" and row.state in (State.NOT_FOUND, State.REJECTED) for row in rows)
    if case.story in ("profit", "loss", "leave", "close") and w.status.said["lots"][0] and not given_up:
        raise CaseError("the position was to be closed")


def steps(points: Mapping[str, int]) -> list[str]:
    """Every passing of a point in a run, as SIGMA_CRASH_AT writes it. Of what repeats for ever the first."""
    most = {name: 1 if name.startswith(("reconcile", "lookup")) else n for name, n in points.items()}
    names = sorted(name for name in most if not name.startswith("renew"))
    return [f"{name}:{n}" for name in names for n in range(1, most[name] + 1)]


def drawn(whole: Case, points: Mapping[str, int], count: int, rng: random.Random) -> list[Case]:
    """``count`` cases that kill ``whole`` at steps it passes; every third dies again in its recovery."""
    found = steps(points)
    chosen = rng.sample(found, min(count, len(found)))
    out = []
    for k, step in enumerate(chosen):
        second = (rng.choice(RECOVERY),) if k % 3 == 2 else ()
        out.append(replace_case(whole, database=DATABASES[k % 2], crashes=(step, *second)))
    return out


def whole_cases(venue: str, story: str, answers: Iterable[str], rng: random.Random) -> list[Case]:
    """A case without a crash for each answer, at one of the story's requests."""
    out = []
    for answer in answers:
        on, skip = rng.choice(REQUESTS[story])
        out.append(Case(venue, "sqlite", story, answer, (), on, skip))
    return out


EVENTS = ("duplicate", "late", "swapped", "lost", "cut", "silent")


async def play(case: Case, w: World) -> None:
    """Start the bot, tell the story with the venue's answer, end the bot."""
    await w.begin()
    for given in ANSWERS[case.answer]:
        options = {"on": case.on, "skip": case.skip if "on" not in given else 0, **given}
        if options.pop("refusal", False):
            options["status"], options["body"] = REFUSAL[case.venue]
        kill = options.pop("kill", False)
        fault = w.em.faults.add(options.pop("on"), options.pop("action"), **options)
        if kill:
            w.kill_when(fault)
    await STORIES[case.story](w)
    await w.tell(NOTHING)
    await w.stop()
