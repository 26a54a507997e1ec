"""A bot whose database, bus or disk goes away and comes back: it stops, goes on, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal

import pytest

from sigma_bot.journal import Filter, open_journal
from sigma_bot.model.orders import State
from sigma_bot.trading.unplaced import NOT_WRITTEN
from tests.crash.crash_servers import mortal_postgres, mortal_redis
from tests.crash.crash_strategy import BUY, REST
from tests.crash.crash_world import NOTHING, PATIENCE_S, VENUES, world

EACH = pytest.mark.parametrize("venue", VENUES)


async def sound(w, url):
    """The invariants, and the orders of the journal."""
    async with await open_journal(url) as journal:
        await w.check(journal)
        return [e.row for e in await journal.orders(Filter(w.bot))]


@EACH
def test_postgres_is_killed_and_comes_back(venue, on_bench, crash_buses):
    async def case(bench):
        with mortal_postgres() as postgres:
            async with world(bench.server, venue, crash_buses[0], postgres.url) as w:
                await w.begin()
                await w.tell(REST)
                postgres.kill()
                [order] = w.orders()
                w.em.exchange.trade(w.symbol, order.ticket.limit, order.ticket.quantity, "sell")
                await w.say(BUY)
                postgres.start()
                await w.tell(NOTHING)
                assert w.starts == 1, "it healed by itself"
                await w.stop()
                return await sound(w, postgres.url)

    rows = on_bench(case)
    assert [row.state for row in rows] == [State.FILLED, State.FILLED]


@EACH
def test_orders_that_were_not_written_when_postgres_was_killed_are_not_looked_up(
    venue, on_bench, crash_buses
):
    """They waited for the rate limit. The same process knows that no byte of them left it."""

    async def case(bench):
        with mortal_postgres() as postgres:
            async with world(bench.server, venue, crash_buses[0], postgres.url) as w:
                held = w.folder / "held"
                held.touch()
                w.job = {"late": 10 * PATIENCE_S, "held": str(held)}
                await w.begin()
                await w.say(BUY)
                await w.say(REST)
                await w.until(lambda: len(w.status.said["rows"]) == 2, "both are stored")
                postgres.kill()
                await w.logged("database postgresql://")
                held.unlink()
                postgres.start()
                await w.tell(BUY)
                assert w.starts == 1
                await w.stop()
                return len(w.orders()), await sound(w, postgres.url)

    sent, rows = on_bench(case)
    assert sent == 1
    ends = sorted((row.order_id, row.state, row.reason) for row in rows)
    assert [(state, reason) for _, state, reason in ends] == [
        (State.REJECTED, NOT_WRITTEN.text),
        (State.REJECTED, NOT_WRITTEN.text),
        (State.FILLED, ""),
    ]


@EACH
def test_redis_is_killed_and_comes_back_empty(venue, on_bench, bench_lite):
    async def case(bench):
        with mortal_redis() as redis:
            async with world(bench.server, venue, redis.url, bench_lite) as w:
                await w.begin()
                await w.tell(REST)
                redis.kill()
                [order] = w.orders()
                w.em.exchange.trade(w.symbol, order.ticket.limit, order.ticket.quantity, "sell")
                await w.settle()  # the journal needs no bus
                redis.start()
                await w.listened()
                await w.tell(BUY)
                assert w.starts == 1
                await w.stop()
                return await sound(w, bench_lite)

    rows = on_bench(case)
    assert [row.state for row in rows] == [State.FILLED, State.FILLED]


@EACH
def test_the_disk_is_full_for_a_while(venue, on_bench, crash_buses, bench_lite):
    async def case(bench):
        async with world(bench.server, venue, crash_buses[0], bench_lite) as w:
            await w.begin()
            await w.tell(REST)
            free = resource.prlimit(w.status.pid, resource.RLIMIT_FSIZE)
            # room for its log, none for its database
            resource.prlimit(w.status.pid, resource.RLIMIT_FSIZE, (1 << 14, free[1]))
            [order] = w.orders()
            w.em.exchange.trade(w.symbol, order.ticket.limit, order.ticket.quantity, "sell")
            await w.say(BUY)
            await w.logged("disk full")
            assert len(w.orders()) == 1, "nothing is sent that was not stored"
            resource.prlimit(w.status.pid, resource.RLIMIT_FSIZE, free)
            await w.tell(NOTHING)
            assert w.starts == 1
            await w.stop()
            return await sound(w, bench_lite)

    rows = on_bench(case)
    assert [row.state for row in rows] == [State.FILLED, State.FILLED]


@EACH
def test_a_second_bot_of_the_same_name_ends_and_names_the_first(venue, on_bench, crash_buses, bench_lite):
    async def case(bench):
        async with world(bench.server, venue, crash_buses[0], bench_lite) as w:
            await w.begin()
            first = w.status.pid
            code = await w.another()
            assert code == 4
            assert f":{first}:" in w.log().splitlines()[-1]
            await w.tell(BUY)
            await w.stop()
            return await sound(w, bench_lite)

    assert [row.state for row in on_bench(case)] == [State.FILLED]


@EACH
@pytest.mark.parametrize("stop_at", ["send.before:1", "commit.before:1", "commit.after:1"])
def test_a_bot_frozen_past_its_lease_sends_nothing_when_it_wakes(
    venue, stop_at, on_bench, crash_buses, bench_lite
):
    async def case(bench):
        async with world(bench.server, venue, crash_buses[0], bench_lite) as w:
            w.job = {"ttl": 1.0, "stop_at": stop_at}
            await w.begin()
            frozen = w.status
            end = w.ends
            await w.say(BUY)
            await w.until(lambda: frozen.stopped, "it is frozen on its way to the venue")
            w.job = {"ttl": 60.0}  # the machine may be slow: the first must not find its place free again
            await w.take_over()
            await w.tell(NOTHING)
            sent = len(w.orders())
            os.kill(frozen.pid, signal.SIGCONT)
            assert await asyncio.wait_for(end, PATIENCE_S) == 4, "it finds its place taken"  # type: ignore[arg-type]
            await w.tell(NOTHING)
            assert len(w.orders()) == sent
            await w.stop()
            return sent, await sound(w, bench_lite)

    sent, [row] = on_bench(case)
    if stop_at == "commit.before:1":
        assert (sent, row.state) == (1, State.FILLED), "not stored by the first, so decided by the second"
    else:
        assert (sent, row.state) == (0, State.NOT_FOUND)
