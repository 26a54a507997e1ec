"""The equity of a bot is in the journal, over restarts, as the engine had it at that step."""

from __future__ import annotations

from pathlib import Path

from sigma_bot.runtime.callbacks import start
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.runtime.equity import point_of
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.times import MINUTE
from tests.integration.trading.sim_rig import (
    batches,
    manifest,
    open_bus,
    open_journal,
    processed,
    publish,
    running,
)
from tests.integration.trading.test_sim_bot import listening, walk
from tests.support import servers


async def test_equity_is_stored_with_the_steps(tmp_path):
    told, rows = manifest(), batches(walk(3000))  # five minutes
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
        done = 0
        for cut in (700, 705, 2200, 3000):
            async with running(journal, bus, told) as runner:
                await listening(runner)
                await publish(bus, rows[done:cut])
                await processed(runner, rows[cut - 1].seq)
            done = cut
        points = [entry.row for entry in await journal.equity("cross")]
        later = await journal.equity("cross", since=points[1].ts, until=points[-1].ts)
        assert [entry.row for entry in later] == points[1:-1]
        assert {entry.run for entry in later} == {1}
    minutes = [point.ts // MINUTE for point in points]
    assert len(minutes) >= 4
    assert minutes == sorted(set(minutes)), "one a minute, over restarts too"
    assert points == worth(rows, told, {point.ts for point in points})
    assert len({point.equity for point in points}) > 1


def worth(rows, told, times):
    """What a rerun of the same ticks says of these times."""
    code = load_strategy(told.spec.strategy, Path())
    start(code.instance)
    decisions = DecisionEngine(told.spec, code.instance)
    out = []
    for batch in rows:
        decisions.handle(batch)
        decisions.take_events()
        if batch.ts in times:
            out.append(point_of(decisions.broker, told.spec.account.precision))
    return out
