"""Sweeps in the store and as documents: one part run and stored, all parts joined, head and trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sigma_bot.backtest.replay import Replay
from sigma_bot.backtest.sweep import Plan, SweepResult, TrialResult, conclude
from sigma_bot.backtest.sweep_shards import Shard, check_plan, merged, name_of, run_shard, sample_of
from sigma_bot.errors import BadInputError
from sigma_bot.results import use_store
from sigma_bot.results.records import Sweep, Trial
from sigma_bot.results.store import Store
from sigma_bot.services.projection import projected


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
    best = next((outcome for outcome in outcomes if not outcome.invalid), TrialResult(0, {}))
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


def outcomes_of(rows: Sequence[Trial]) -> list[TrialResult]:
    """Stored trials as they were run."""
    return [
        TrialResult(row.number, row.params, invalid=row.metrics["invalid"])
        if "invalid" in row.metrics
        else TrialResult(row.number, row.params, row.metrics, row.digest)
        for row in rows
    ]


def save_sweep(found: SweepResult, replay: Replay, url: str | None) -> str:
    """Store the head and every trial, whole or not at all; the id."""
    head, rows = head_of(found, replay, found.result.name), rows_of(found.trials)
    return use_store(lambda store: store.save_trials(head, rows), url)


def head_of(found: SweepResult, replay: Replay, name: str) -> Sweep:
    """The head of a stored sweep."""
    plan, result = found.plan, found.result
    return Sweep(
        name=name,
        digest=found.digest,
        digests=result.digests,
        engine=result.engine,
        strategy=result.strategy,
        params={axis.name: axis.text.partition("=")[2].strip() for axis in plan.axes},
        kind=result.kind,
        timeframe=result.timeframe,
        currency=result.currency,
        precision=result.precision,
        initial_cash=result.initial_cash,
        start=result.start,
        end=result.end,
        events=result.events,
        metrics={**found.best.metrics, "deflated_sharpe": found.deflated},
        settings={
            "objective": plan.objective,
            "maximise": plan.maximise,
            "sampler": plan.sampler,
            "seed": plan.seed,
            "best": dict(found.best.params),
            "seconds": found.seconds,
            "warnings": [*replay.market.warnings, *found.notes],
        },
        manifest=result.manifest,
    )


def rows_of(outcomes: Sequence[TrialResult]) -> list[Trial]:
    """Trials as they are stored."""
    return [
        Trial(t.number, t.params, {"invalid": t.invalid} if t.invalid else t.metrics, t.digest)
        for t in outcomes
    ]


def speed_of(found: SweepResult) -> float:
    """Combination rows a second."""
    return len(found.valid) * found.result.events / found.seconds


def document(found: SweepResult) -> dict[str, Any]:
    """The JSON document: money as decimal text, an undefined value null, trials as they were asked for."""
    plan, result = found.plan, found.result
    return {
        "digest": found.digest,
        "name": result.name,
        "strategy": result.strategy,
        "engine": result.engine,
        "events": result.events,
        "objective": plan.objective,
        "maximise": plan.maximise,
        "sampler": plan.sampler,
        "seed": plan.seed,
        "space": {axis.name: list(axis.values) for axis in plan.axes},
        "seconds": round(found.seconds, 6),
        "rows_per_second": round(speed_of(found)),
        "trials": len(found.trials),
        "invalid": len(found.trials) - len(found.valid),
        "deflated_sharpe": found.deflated,
        "best": row_of(found.best),
        "runs": [row_of(trial) for trial in found.trials],
    }


def row_of(trial: TrialResult) -> dict[str, Any]:
    """One trial for JSON."""
    if trial.invalid:
        return {"number": trial.number, "params": dict(trial.params), "invalid": trial.invalid}
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "digest": trial.digest,
        "metrics": projected(trial.metrics),
    }


def write_html(path: str, found: SweepResult) -> None:
    """The report, with a heat map over the first two parameters."""
    from sigma_bot.report.summary import describe_market
    from sigma_bot.report.sweep import Trial, sweep_html

    names = [axis.name for axis in found.plan.axes if len(axis.values) > 1]
    names = names or [found.plan.axes[0].name]
    sweep_html(
        path,
        [Trial(t.params, t.metrics) for t in found.valid],
        names[0],
        names[1] if len(names) > 1 else None,
        found.plan.objective,
        name=found.result.name,
        subtitle=f"{found.result.strategy} · {describe_market(found.result)}",
        trials=len(found.valid),
        deflated=found.deflated,
        maximise=found.plan.maximise,
    )


def verdict(found: SweepResult) -> str:
    """What the deflated ratio says about the best run."""
    count = len(found.valid)
    if found.deflated is None:
        return "It is undefined: the returns do not vary, or there are too few."
    if found.deflated >= 0.95:
        return f"The best of {count:,} worthless runs would rarely look as good."
    return f"The best of {count:,} worthless runs often looks as good: do not trade it yet."
