"""Another strategy finds the state of one that was killed: refused, taken over, or begun anew."""

from __future__ import annotations

import asyncio
import time

import pytest

from sigma_bot.journal import Filter
from sigma_bot.model.orders import State
from tests.crash.crash_strategy import BUY, CODE, REST, SELL
from tests.crash.crash_world import NOTHING, VENUES, World, manifest, world

EACH = pytest.mark.parametrize(("venue", "database"), [*zip(VENUES, ("sqlite", "postgres"), strict=True)])
OTHER = CODE.replace("last: int = 0", "last: int = 0\n    seen: int = 0").replace(
    "what = int", "self.seen += 1\n        what = int"
)
THIRD = "send.before:3"
"""The third order is stored, and the bot dies before it sends it."""


async def killed(w: World) -> None:
    """A position, a resting order, and an order of which nobody knows whether it left."""
    await w.begin()
    await w.tell(BUY)
    await w.tell(REST)
    w.stopping = True
    await w.say(BUY)
    assert await w.ends == -9  # type: ignore[misc]


async def exit_code(w: World, on_change: str) -> int:
    """What the other strategy ends with."""
    w.manifest, w.job = manifest(w.venue, w.bot, OTHER), {"on_change": on_change}
    w.start()
    return int(await w.ends)  # type: ignore[misc]


async def again(w: World, code: str, on_change: str) -> None:
    """A bot that starts, and runs."""
    w.manifest, w.job = manifest(w.venue, w.bot, code), {"on_change": on_change}
    w.stopping = False
    await w.begin()


async def end(w: World, journal) -> list[tuple[str, State]]:
    """Everything holds; the orders, the oldest first."""
    await w.stop()
    await w.check(journal)
    rows = [e.row for e in await journal.orders(Filter(w.bot))]
    return [(row.side, row.state) for row in sorted(rows, key=lambda row: row.created)]


CLOSED = [("buy", State.FILLED), ("buy", State.CANCELLED), ("buy", State.NOT_FOUND), ("sell", State.FILLED)]
"""Closing cancels what rests."""


@EACH
def test_refuse_runs_nothing_and_the_old_code_goes_on(venue, database, on_bench, crash_buses):
    async def case(bench):
        url, journal = bench.journals[database]
        async with world(bench.server, venue, crash_buses[0], url, [THIRD]) as w:
            await killed(w)
            code = await exit_code(w, "refuse")
            said = w.log().splitlines()[-1]
            sent = len(w.orders())
            await again(w, CODE, "refuse")
            lots = w.status.said["lots"]
            await w.tell(SELL)
            return code, said, sent, lots, await end(w, journal)

    code, said, sent, lots, rows = on_bench(case)
    assert code == 2
    assert "its code has changed since run 1 began; take the change back, or start with --on-change" in said
    assert sent == 2
    assert lots != [0], "nothing was lost"
    assert rows == CLOSED


@EACH
def test_adopt_takes_over_what_is_held_and_what_rests(venue, database, on_bench, crash_buses):
    async def case(bench):
        url, journal = bench.journals[database]
        async with world(bench.server, venue, crash_buses[0], url, [THIRD]) as w:
            await killed(w)
            await again(w, OTHER, "adopt")
            await w.tell(NOTHING)
            held = w.status.said["lots"], w.status.said["open"]
            await w.tell(SELL)
            rows = await end(w, journal)
            return held, rows, (await journal.run_of(w.bot)).number

    (lots, open_orders), rows, run = on_bench(case)
    assert lots != [0]
    assert open_orders == 1
    assert rows == CLOSED
    assert run == 1


@EACH
def test_reset_begins_anew_once_nothing_is_left_unwatched(venue, database, on_bench, crash_buses):
    async def case(bench):
        url, journal = bench.journals[database]
        async with world(bench.server, venue, crash_buses[0], url, [THIRD]) as w:
            await killed(w)
            first = await exit_code(w, "reset"), w.log().splitlines()[-1]
            await again(w, OTHER, "adopt")
            await journal.control("strategy", w.bot, "flatten", "anew", by="me", now=time.time_ns())
            async with asyncio.timeout(60):
                while (await journal.controls_for(w.bot)).flatten:
                    await asyncio.sleep(0.02)
            await w.stop()
            await journal.control("strategy", w.bot, "resume", "anew", by="me", now=time.time_ns())
            await again(w, CODE, "reset")
            await w.tell(BUY)
            await w.tell(SELL)
            return first, await end(w, journal), (await journal.run_of(w.bot)).number

    (code, said), rows, run = on_bench(case)
    assert code == 2
    assert "run 1 still has 2 orders at the venue, which a new run would leave unwatched" in said
    assert rows == [*CLOSED, ("buy", State.FILLED), ("sell", State.FILLED)]
    assert run == 2
