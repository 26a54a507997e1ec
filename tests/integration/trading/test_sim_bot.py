"""A SIM bot does what a backtest of the same ticks does, also when it is stopped and started in between."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from sigma_bot.engine.types import E_FILL, Event
from sigma_bot.errors import BadInputError
from sigma_bot.journal import Filter
from sigma_bot.model.messages import ticks_log
from sigma_bot.runtime.callbacks import start
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.trading.service import close_account
from sigma_bot.trading.settings import Settings, bot_name
from tests.integration.trading.sim_rig import (
    CROSS,
    batches,
    manifest,
    open_bus,
    open_journal,
    processed,
    publish,
    running,
)
from tests.support import bots, servers


def walk(n: int, seed: int = 7) -> list[float]:
    rng, price, out = random.Random(seed), 60_000_000.0, []
    for _ in range(n):
        price += rng.choice((-1, 0, 1)) * rng.randint(1, 40) * 1000
        out.append(price)
    return out


def expected(rows, told):
    code = load_strategy(told.spec.strategy, Path())
    start(code.instance)
    decisions = DecisionEngine(told.spec, code.instance)
    events: list[Event] = []
    for batch in rows:
        decisions.handle(batch)
        events += decisions.take_events()
    return [e for e in events if e.kind == E_FILL]


async def test_fills_equal_the_engines_over_restarts(tmp_path):
    told, rows = manifest(), batches(walk(3000))
    fills = expected(rows, told)
    assert len(fills) > 20
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        done = 0
        for cut in (1, 700, 701, 2200, 3000):
            async with running(journal, bus, told) as runner:
                await listening(runner)
                await publish(bus, rows[done:cut])
                await processed(runner, rows[cut - 1].seq)
            done = cut
        stored = [entry.row for entry in reversed((await journal.fills(Filter("cross", limit=None))).rows)]
    assert [(f.ts, f.order_id, float(f.price), float(f.quantity)) for f in stored] == [
        (e.ts, e.id, e.price, e.quantity) for e in fills
    ]


RAISES = """
from sigma_bot import Strategy

class Raises(Strategy):
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen == 2:
            broker.buy(0.01)
        if self.seen == 5:
            raise RuntimeError("five")
"""


async def test_a_strategy_that_raises_is_halted_and_never_called_again(tmp_path):
    told, rows = manifest(RAISES), batches(walk(20))
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        async with running(journal, bus, told) as runner:
            await listening(runner)
            await publish(bus, rows[:12])
            await processed(runner, 12)
            assert runner.sessions == 2
            assert runner.session is not None
            assert runner.session.bot.decisions.strategy.seen == 4  # type: ignore[attr-defined]
            async with asyncio.timeout(60):
                while not runner.session.bot.progress.halted:
                    await asyncio.sleep(0.01)
            assert not runner.ready().ready
        controls = await journal.controls_for("cross")
        assert "five" in controls.halted_by.reason
        async with running(journal, bus, told) as runner:
            await publish(bus, rows[12:15])
            await processed(runner, 15)
            assert runner.session.bot.decisions.strategy.seen == 4
            await journal.control("strategy", "cross", "resume", "fixed", by="me", now=1)
            async with asyncio.timeout(60):
                while runner.session.bot.decisions.suspended_from is not None:
                    await asyncio.sleep(0.01)
            await publish(bus, rows[15:16])
            async with asyncio.timeout(60):
                while runner.sessions < 2:  # seen becomes 5 again: it raises once more
                    await asyncio.sleep(0.01)
        alerts = [e.row for e in await journal.notices(Filter("cross")) if e.row.kind == "alert"]
        assert [a.code for a in alerts] == ["strategy-raised"] * 2
        assert "RuntimeError: five" in alerts[0].text


async def listening(runner) -> None:
    """A new bot begins with the next tick: wait until it hears it."""
    async with asyncio.timeout(60):
        while runner.session is None or not runner.bus._listeners.get(ticks_log("upbit")):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)  # it looks at what the log holds already: nothing


async def test_a_fresh_run_warms_up_on_what_the_feed_has_kept(tmp_path):
    told, rows = manifest(warmup="30s"), batches(walk(1200))
    bus = open_bus("memory://", tmp_path / "spool")
    await publish(bus, rows[:1000])
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        async with running(journal, bus, told) as runner:
            await processed(runner, 1000)
            await publish(bus, rows[1000:])
            await processed(runner, 1200)
        run = await journal.run_of("cross")
        assert run.first_tick == 701
        rejected = [e.row for e in await journal.notices(Filter("cross")) if e.row.kind == "rejection"]
        assert {r.code for r in rejected} <= {"warm-up"}
        fills = await journal.fills(Filter("cross"))
        assert fills
        assert min(e.row.ts for e in fills) > rows[999].ts


async def test_reset_begins_a_new_run_once(tmp_path):
    told, rows = manifest(), batches(walk(400))
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        async with running(journal, bus, told) as runner:
            await listening(runner)
            await publish(bus, rows[:200])
            await processed(runner, 200)
        async with running(journal, bus, told, reset=True) as runner:
            await listening(runner)
            await publish(bus, rows[200:])
            await processed(runner, 400)
            assert runner.session.bot.run.number == 2
            assert runner.session.bot.decisions.broker.row == 199
            assert not runner.settings.reset
        async with running(journal, bus, told) as runner:
            await listening(runner)
            assert runner.session.bot.run.number == 2


async def test_a_close_counts_however_early_it_is_given(tmp_path):
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        bus, told = open_bus("memory://", tmp_path / "spool"), manifest()
        name = bot_name(told)
        async with running(journal, bus, told) as runner:
            await listening(runner)
        runner = bots.bot(Settings(told, Path(), closing=True), journal, bus)
        closing = asyncio.create_task(close_account(runner, journal, "cancel"))
        async with asyncio.timeout(60):
            while not (await journal.controls_for(name)).halts:
                await asyncio.sleep(0.002)
            async with bots.running(runner):  # only now it opens its session
                await closing
        async with running(journal, bus, told) as runner:
            await listening(runner)
            assert not (await journal.controls_for(name)).halts, "started again it trades again"
        await bus.close()


async def test_files_changed_while_running_count_from_the_next_start(tmp_path):
    """A session that begins anew goes on with what this process has read."""
    code, told = tmp_path / "cross.py", manifest(strategy={"file": "cross.py"})
    code.write_text(CROSS)
    rows, fills = batches(walk(600)), expected(batches(walk(600)), manifest())
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        async with running(journal, bus, told, tmp_path, on_change="refuse") as runner:
            await listening(runner)
            await publish(bus, rows[:300])
            await processed(runner, 300)
            code.write_text(CROSS.replace("fast > slow", "fast < slow"))
            await journal.release(runner.session.opened.lease)  # the next commit finds it lost
            await publish(bus, rows[300:])
            async with asyncio.timeout(60):
                while runner.sessions < 2:
                    await asyncio.sleep(0.01)
            await processed(runner, 600)
        stored = [entry.row for entry in reversed((await journal.fills(Filter("cross", limit=None))).rows)]
        assert [(f.ts, f.order_id) for f in stored] == [(e.ts, e.id) for e in fills]
        with pytest.raises(BadInputError, match="its code has changed since run 1 began"):
            await bots.bot(Settings(told, tmp_path, on_change="refuse"), journal, bus).run()
