"""A halt given from outside while the strategy never returns: nothing leaves the process any more, and the
callback is ended, so that a flatten can close what is held."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sigma_bot.journal import Filter
from sigma_bot.journal.journal import Journal
from sigma_bot.model.orders import State
from tests.crash.crash_strategy import BUY
from tests.crash.crash_world import NOTHING, VENUES, World, manifest, world

EACH = pytest.mark.parametrize(("venue", "database"), [*zip(VENUES, ("sqlite", "postgres"), strict=True)])
ORDER, LOOP, BOTH = 11, 12, 13
CODE = '''
import pathlib

from sigma_bot import Strategy

WHERE = pathlib.Path({folder!r})


class Endless(Strategy):
    """2: buy. 11: buy, when told to. 12: never return. 13: buy and never return."""

    spun: int

    def on_tick(self, tick, broker):
        what = int(tick.volume)
        if what == 11:
            (WHERE / "ordering").touch()
            while not (WHERE / "order").exists():
                self.spun += 1
        if what in (2, 11, 13):
            broker.buy(0.01)
        if what in (12, 13):
            (WHERE / "inside").touch()
            while True:
                self.spun += 1
'''


async def began(w: World, file: str) -> None:
    """Wait until the strategy says where it is."""
    await w.until((Path(w.folder) / file).exists, f"the strategy is {file}")


async def halted(w: World, journal: Journal, action: str) -> str:
    """Give a control while the callback runs; why the callback was ended."""
    first = w.status.said["token"]
    await journal.control("strategy", w.bot, action, "enough", by="me", now=time.time_ns())  # type: ignore[arg-type]
    sent = len(w.orders())
    # the next session has taken over, and knows of the halt
    await w.until(lambda: w.status.said["token"] > first and bool(w.status.said["halted"]), "it is halted")
    if action == "halt":
        assert len(w.orders()) == sent
    [raised] = [e.row.text for e in await journal.notices(Filter(w.bot)) if e.row.code == "strategy-raised"]
    return raised


@EACH
@pytest.mark.parametrize("how", ["at once", "by the tick before"])
def test_no_order_leaves_after_a_halt_although_the_strategy_never_returns(
    venue, database, how, on_bench, crash_buses
):
    async def case(bench):
        url, journal = bench.journals[database]
        async with world(bench.server, venue, crash_buses[0], url) as w:
            w.manifest = manifest(venue, w.bot, CODE.format(folder=str(w.folder)))
            await w.begin()
            if how == "at once":
                await w.say(BOTH)
            else:
                await w.say(ORDER)
                await began(w, "ordering")
                await w.say(LOOP)  # it waits in the mailbox while the order is being stored
                (Path(w.folder) / "order").touch()
            await began(w, "inside")
            why = await halted(w, journal, "halt")
            await w.tell(NOTHING)
            assert w.starts == 1, "the process lives"
            await w.stop()
            await w.check(journal)
            return why, [e.row for e in await journal.orders(Filter(w.bot))], len(w.orders())

    why, rows, sent = on_bench(case)
    assert "was stopped: halt was given meanwhile by me" in why
    assert "in on_tick" in why
    assert sent == 0
    assert [row.state for row in rows] == ([] if how == "at once" else [State.REJECTED])


@EACH
def test_a_flatten_closes_what_is_held_although_the_strategy_never_returns(
    venue, database, on_bench, crash_buses
):
    async def case(bench):
        url, journal = bench.journals[database]
        async with world(bench.server, venue, crash_buses[0], url) as w:
            w.manifest = manifest(venue, w.bot, CODE.format(folder=str(w.folder)))
            await w.begin()
            await w.tell(BUY)
            await w.say(LOOP)
            await began(w, "inside")
            why = await halted(w, journal, "flatten")
            await w.say(NOTHING)
            await w.until(lambda: w.settled() and w.status.said["lots"] == [0], "it is flat")
            await w.stop()
            await w.check(journal)
            return why, [e.row for e in await journal.orders(Filter(w.bot))]

    why, rows = on_bench(case)
    assert "was stopped: flatten was given meanwhile by me" in why
    assert [(row.side, row.state) for row in rows] == [("sell", State.FILLED), ("buy", State.FILLED)]
