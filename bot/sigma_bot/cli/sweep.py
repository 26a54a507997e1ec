"""``sigma sweep``: run a backtest for many values of its parameters."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_bot.cli.cores import cores
from sigma_bot.cli.options import run_options
from sigma_bot.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sigma_bot.backtest.replay import Replay
    from sigma_bot.backtest.sweep import Outcome, SweepResult
    from sigma_bot.metrics.definitions import Metric
    from sigma_bot.results.records import Sweep, Trial

LISTED = 15
COLUMNS = ("total_return", "cagr", "sharpe", "max_drawdown", "profit_factor", "trades")


@click.command(short_help="Run a backtest for many values of its parameters.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUES",
    help="A parameter to vary: FIRST:LAST:STEP or A,B,C. Repeat it for more.",
)
@click.option("--objective", default="sharpe", show_default=True, help="Metric that says which run is best.")
@click.option("--minimise", is_flag=True, help="The best run is the one with the lowest objective.")
@click.option("--trials", type=click.IntRange(1), help="Run this many combinations instead of all.")
@click.option(
    "--sampler",
    type=click.Choice(["grid", "random", "tpe"]),
    help="Which combinations to try.  [default: grid; tpe with --trials]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For random and tpe.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Processes.  [default: one a core that may be used]"
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Fix another parameter.")
@run_options
@click.option("--shard", metavar="PART/PARTS", help="Run and store one part only; --merge joins them.")
@click.option("--merge", type=click.IntRange(1, 1000), metavar="PARTS", help="Join parts that are stored.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--html", metavar="FILE", help="Write a report with a heat map.")
@click.option("--db", metavar="URL", help="Store the trials here.  [default: ~/.sigma/sigma.db]")
@click.option("--no-store", is_flag=True, help="Do not store the trials.")
def sweep(
    file: Path,
    params: tuple[str, ...],
    objective: str,
    minimise: bool,
    trials: int | None,
    sampler: str | None,
    seed: int,
    jobs: int | None,
    settings: tuple[str, ...],
    start: str | None,
    end: str | None,
    data: str | None,
    engine: str,
    shard: str | None,
    merge: int | None,
    output: str,
    html: str | None,
    db: str | None,
    no_store: bool,
) -> None:
    """Run the backtest that FILE describes for many values of its parameters, and rank the runs.

    \b
    sigma sweep examples/ema-cross/backtest.yaml --param fast=5:50:5 --param slow=20:200:10
    sigma sweep FILE --param fast=2:100 --param slow=10:400:2 --trials 300 --html sweep.html

    On several machines with one database: --shard 1/4 to --shard 4/4, then --merge 4. A part that is stored
    is not run again.
    """
    from sigma_bot.backtest.replay import open_replay
    from sigma_bot.backtest.sweep import Plan, check_objective, run_sweep
    from sigma_bot.backtest.sweep_space import grid, parse_space
    from sigma_bot.cli import sweep_parts
    from sigma_bot.cli.backtest import check_target, override
    from sigma_bot.runtime.loader import load_strategy
    from sigma_bot.spec import load_manifest

    check_objective(objective)
    check_target(html)
    manifest = override(load_manifest(file, "Backtest"), file.parent, settings, start, end, data)
    axes = parse_space(load_strategy(manifest.spec.strategy, file.parent).cls, params)
    sampler = sampler or ("tpe" if trials is not None else "grid")
    if sampler == "grid":
        grid(axes, trials)  # too many combinations: say so before the data are read
    plan = Plan(axes, objective, not minimise, sampler, trials, seed, jobs or cores())  # type: ignore[arg-type]
    bar = Progress("sweep")
    try:
        replay = open_replay(manifest, file.parent, engine)  # type: ignore[arg-type]
        if shard is not None:
            click.echo(sweep_parts.run_part(replay, plan, shard, db, bar.update))
            return
        found = sweep_parts.join(replay, plan, merge, db) if merge else run_sweep(replay, plan, bar.update)
    finally:
        bar.clear()
    if html is not None:
        write_html(html, found)
    run_id = None if no_store else save(found, replay, db)
    if output == "json":
        for note in (*replay.market.warnings, *found.notes):
            click.echo(f"warning: {note}", err=True)
        if run_id is not None:
            click.echo(f"stored: {run_id}", err=True)
        click.echo(json.dumps(document(found), ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        return
    show(found, replay)
    if html is not None:
        click.echo(f"report: {html}")
    if run_id is not None:
        click.echo(f"stored: {run_id} (sigma results show {run_id})")


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


def row_of(trial: Outcome) -> dict[str, Any]:
    """One trial for JSON."""
    if trial.invalid:
        return {"number": trial.number, "params": dict(trial.params), "invalid": trial.invalid}
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "digest": trial.digest,
        "metrics": {name: plain(value) for name, value in trial.metrics.items()},
    }


def plain(value: Metric) -> Metric:
    """A metric for JSON."""
    return format(value, "f") if isinstance(value, Decimal) else value


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


def save(found: SweepResult, replay: Replay, url: str | None) -> str:
    """Store the head and every trial, whole or not at all; the id."""
    from sigma_bot.results import use_store

    head, rows = head_of(found, replay, found.result.name), rows_of(found.trials)
    return use_store(lambda store: store.save_trials(head, rows), url)


def rows_of(outcomes: Sequence[Outcome]) -> list[Trial]:
    """Trials as they are stored."""
    from sigma_bot.results.records import Trial

    return [
        Trial(t.number, t.params, {"invalid": t.invalid} if t.invalid else t.metrics, t.digest)
        for t in outcomes
    ]


def head_of(found: SweepResult, replay: Replay, name: str) -> Sweep:
    """The head of a stored sweep."""
    from sigma_bot.results.records import Sweep

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


def show(found: SweepResult, replay: Replay) -> None:
    """The best runs and what they are worth, on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from sigma_bot.metrics.definitions import DEFINITIONS
    from sigma_bot.report.format import period
    from sigma_bot.report.format import show as text
    from sigma_bot.report.summary import describe_market

    console = Console(highlight=False)
    result, plan = found.result, found.plan
    columns = [plan.objective, *(name for name in COLUMNS if name != plan.objective)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("#", *(axis.name for axis in plan.axes)):
        table.add_column(head, justify="right")
    for name in columns:
        table.add_column(DEFINITIONS[name].label, justify="right")
    for place, trial in enumerate(found.ranked[:LISTED], start=1):
        figures = [text(trial.metrics[name], DEFINITIONS[name].kind) for name in columns]
        table.add_row(str(place), *(f"{value:g}" for value in trial.params.values()), *figures)
    console.print(f"[bold]{result.name}[/]  {result.strategy} · {describe_market(result)}")
    console.print(f"{period(result.start, result.end)} · {result.events:,} rows")
    console.print(table)
    console.print(
        f"{len(found.valid):,} runs in {found.seconds:.2f} s "
        f"({speed_of(found) / 1e6:,.1f} million rows/s, {plan.jobs} processes, {result.engine})"
    )
    console.print(f"Deflated Sharpe ratio of the best: {text(found.deflated, 'percent')}. {verdict(found)}")
    for note in (*replay.market.warnings, *found.notes):
        console.print(f"[yellow]Warning[/]  {note}", markup=True)


def verdict(found: SweepResult) -> str:
    """What the deflated ratio says about the best run."""
    count = len(found.valid)
    if found.deflated is None:
        return "It is undefined: the returns do not vary, or there are too few."
    if found.deflated >= 0.95:
        return f"The best of {count:,} worthless runs would rarely look as good."
    return f"The best of {count:,} worthless runs often looks as good: do not trade it yet."
