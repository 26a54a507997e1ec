"""The parts of a sweep in the store: one is run and stored, or all are read and joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sigma_bot.backtest.replay import Replay
from sigma_bot.backtest.sweep import Outcome, Plan, SweepResult, conclude
from sigma_bot.backtest.sweep_shards import Shard, check_plan, merged, name_of, run_shard, sample_of
from sigma_bot.cli.sweep import head_of, rows_of
from sigma_bot.errors import BadInputError
from sigma_bot.results import use_store
from sigma_bot.results.records import Trial
from sigma_bot.results.store import Store


def run_part(
    replay: Replay, plan: Plan, part: str, url: str | None, progress: Callable[[int, int], None]
) -> str:
    """Run part ``2/8`` and store it, unless it is stored; what to tell."""
    check_plan(plan)
    shard = Shard.parse(part)
    name = name_of(replay, plan, shard)
    stored = use_store(lambda store: store.list_runs(1, name), url)
    if stored:
        return f"stored before: {stored[0].id} ({name})"
    started = time.perf_counter()
    outcomes = run_shard(replay, plan, shard, progress)
    sample = sample_of(replay, outcomes)
    best = next((outcome for outcome in outcomes if not outcome.invalid), Outcome(0, {}))
    found = SweepResult(
        plan, tuple(outcomes), best, sample, None, sample.digest, time.perf_counter() - started
    )
    head, rows = head_of(found, replay, name), rows_of(outcomes)
    run_id = use_store(lambda store: store.save_trials(head, rows), url)
    return f"stored: {run_id} ({name}, {len(rows):,} runs)"


def join(replay: Replay, plan: Plan, parts: int, url: str | None) -> SweepResult:
    """What one process would have found, from the stored parts. Raises BadInputError for one that misses."""
    check_plan(plan)
    started = time.perf_counter()
    names = [name_of(replay, plan, Shard(i, parts)) for i in range(1, parts + 1)]

    async def load(store: Store) -> list[list[Trial]]:
        found = []
        for i, name in enumerate(names, start=1):
            runs = await store.list_runs(1, name)
            if not runs:
                part = f"{i}/{parts}"
                raise BadInputError(f"--merge {parts}: part {part} is not stored; run --shard {part}")
            found.append(await store.trials(runs[0].id))
        return found

    stored = use_store(load, url)
    return conclude(replay, plan, merged(plan, [outcomes_of(rows) for rows in stored]), started)


def outcomes_of(rows: Sequence[Trial]) -> list[Outcome]:
    """Stored trials as they were run."""
    return [
        Outcome(row.number, row.params, invalid=row.metrics["invalid"])
        if "invalid" in row.metrics
        else Outcome(row.number, row.params, row.metrics, row.digest)
        for row in rows
    ]
