"""``sigma sweep``: run a backtest for many values of its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sigma_bot.cli.options import run_options
from sigma_bot.cli.progress import Progress

if TYPE_CHECKING:
    from sigma_bot.backtest.replay import Replay
    from sigma_bot.backtest.sweep import SweepResult

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
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
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
    from sigma_bot.runtime.loader import load_strategy
    from sigma_bot.services import sweeps
    from sigma_bot.services.backtests import check_report_path, overridden
    from sigma_bot.services.cores import cores
    from sigma_bot.services.projection import to_json
    from sigma_bot.spec import load_manifest

    check_objective(objective)
    check_report_path(html)
    manifest = overridden(load_manifest(file, "Backtest"), file.parent, settings, start, end, data)
    axes = parse_space(load_strategy(manifest.spec.strategy, file.parent).cls, params)
    sampler = sampler or ("tpe" if trials is not None else "grid")
    if sampler == "grid":
        grid(axes, trials)  # too many combinations: say so before the data are read
    plan = Plan(axes, objective, not minimise, sampler, trials, seed, jobs or cores())  # type: ignore[arg-type]
    bar = Progress("sweep")
    try:
        replay = open_replay(manifest, file.parent, engine)  # type: ignore[arg-type]
        if shard is not None:
            click.echo(sweeps.run_part(replay, plan, shard, db, bar.update))
            return
        found = sweeps.join(replay, plan, merge, db) if merge else run_sweep(replay, plan, bar.update)
    finally:
        bar.clear()
    if html is not None:
        sweeps.write_html(html, found)
    run_id = None if no_store else sweeps.save_sweep(found, replay, db)
    if output == "json":
        for note in (*replay.market.warnings, *found.notes):
            click.echo(f"warning: {note}", err=True)
        if run_id is not None:
            click.echo(f"stored: {run_id}", err=True)
        click.echo(to_json(sweeps.document(found)))
        return
    show(found, replay)
    if html is not None:
        click.echo(f"report: {html}")
    if run_id is not None:
        click.echo(f"stored: {run_id} (sigma results show {run_id})")


def show(found: SweepResult, replay: Replay) -> None:
    """The best runs and what they are worth, on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from sigma_bot.metrics.definitions import DEFINITIONS
    from sigma_bot.report.format import period
    from sigma_bot.report.format import show as text
    from sigma_bot.report.summary import describe_market
    from sigma_bot.services.sweeps import speed_of, verdict

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
