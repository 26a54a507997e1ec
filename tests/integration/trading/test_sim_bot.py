"""A SIM bot does what a backtest of the same ticks does, also when it is stopped and started in between."""

from __future__ import annotations

import random
from pathlib import Path

from sim_rig import batches, manifest, open_bus, open_journal, processed, publish, running

from sigma_bot.callbacks import start
from sigma_bot.engine.types import E_FILL, Event
from sigma_bot.strategy_file import load_strategy
from sigma_bot.trading.core import Core


def walk(n: int, seed: int = 7) -> list[float]:
    rng, price, out = random.Random(seed), 60_000_000.0, []
    for _ in range(n):
        price += rng.choice((-1, 0, 1)) * rng.randint(1, 40) * 1000
        out.append(price)
    return out


def expected(rows, told):
    code = load_strategy(told.spec.strategy, Path())
    start(code.instance)
    core = Core(told.spec, code.instance)
    events: list[Event] = []
    for batch in rows:
        core.run(batch)
        events += core.drain()
    return [e for e in events if e.kind == E_FILL]


async def test_fills_equal_the_engines_over_restarts(tmp_path):
    told, rows = manifest(), batches(walk(3000))
    fills = expected(rows, told)
    assert len(fills) > 20
    bus = open_bus("memory://", tmp_path / "spool")
    async with await open_journal(f"sqlite:///{tmp_path / 'j.db'}") as journal:
        done = 0
        for cut in (1, 700, 701, 2200, 3000):
            async with running(journal, bus, told) as runner:
                if done == 0:
                    # a new bot begins with the next tick: it must be listening
                    import asyncio

                    while runner.session is None:
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(0.1)
                await publish(bus, rows[done:cut])
                await processed(runner, rows[cut - 1].seq)
            done = cut
        stored = [entry.row for entry in reversed(await journal.fills("cross", limit=None))]
    assert [(f.ts, f.order_id, float(f.price), float(f.quantity)) for f in stored] == [
        (e.ts, e.id, e.price, e.quantity) for e in fills
    ]
