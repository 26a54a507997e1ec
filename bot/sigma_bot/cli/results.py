"""``sigma results``: list what was run, show one run again, compare two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_bot.cli.journal import show_json
from sigma_bot.errors import BadInputError
from sigma_bot.services.runs import comparison, summary

if TYPE_CHECKING:
    from rich.table import Table

    from sigma_bot.results.records import StoredResult, StoredRun, Trial

MOST_TRIALS = 20
"""Trials of a sweep that the table shows; JSON holds them all."""


def _db(command: Callable[..., None]) -> Callable[..., None]:
    words = "Read this database.  [default: SIGMA_DATABASE_URL, else ~/.sigma/sigma.db]"
    return click.option("--db", metavar="URL", help=words)(command)


def _output(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--output", type=click.Choice(kinds), default="table", show_default=True, help="How to print it."
    )


@click.group()
def results() -> None:
    """List, show and compare stored results.

    \b
      sigma results list --name ema-cross
      sigma results show r4k8z
      sigma results compare r4k8z r9m2x

    A run is named by its id, the beginning of it or of its digest, or its name (then the newest is meant).
    """


@results.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--name", help="Only runs of this name.")
@_output("table", "json")
@_db
def list_runs(limit: int, name: str | None, output: str, db: str | None) -> None:
    """List runs, the newest first."""
    from sigma_bot.results import use_store

    runs = use_store(lambda store: store.list_runs(limit, name), db, create=False)
    if output == "json":
        show_json([summary(run) for run in runs])
    elif runs:
        _print(_runs_table(runs))
    else:
        click.echo("no runs are stored" + (f" under the name {name!r}" if name else ""))


@results.command("show", short_help="Show a run as it was reported.")
@click.argument("run")
@_output("table", "json", "full")
@click.option("--html", metavar="FILE", help="Write the HTML report again.")
@_db
def show(run: str, output: str, html: str | None, db: str | None) -> None:
    """Show RUN as it was reported when it ran; full adds orders, fills, trades and equity."""
    from sigma_bot.results import use_store
    from sigma_bot.results.store import Store

    async def read(store: Store) -> StoredResult | tuple[StoredRun, list[Trial]]:
        found = await store.run(run)
        if found.kind == "backtest":
            return await store.load_full(found.id)
        return found, await store.trials(found.id)

    stored = use_store(read, db, create=False)
    if not isinstance(stored, tuple):
        _show_result(stored, output, html)
    elif html is not None:
        raise BadInputError(f"--html: run {stored[0].id} is a sweep; `sigma sweep --html` writes its report")
    else:
        _show_sweep(*stored, output)


@results.command("compare", short_help="Put two runs side by side.")
@click.argument("first")
@click.argument("second")
@_output("table", "json")
@_db
def compare(first: str, second: str, output: str, db: str | None) -> None:
    """Compare two runs: metrics side by side, and what of code, data, manifest and parameters differs."""
    from sigma_bot.results import use_store
    from sigma_bot.results.store import Store

    async def read(store: Store) -> tuple[StoredRun, StoredRun]:
        return await store.run(first), await store.run(second)

    left, right = use_store(read, db, create=False)
    if output == "json":
        show_json(comparison(left, right))
    else:
        _showcomparison(left, right)


def _show_result(stored: StoredResult, output: str, html: str | None) -> None:
    if html is not None:
        from sigma_bot.report.reporter import PerformanceReporter

        PerformanceReporter(stored.result).html(Path(html))
    if output == "table":
        from sigma_bot.report.terminal import show_summary

        show_summary(stored.result, stored.metrics)
        run = stored.run
        click.echo(f"run {run.id}, {run.created:%Y-%m-%d %H:%M:%S} UTC, SIGMA-X {run.version}")
        if html is not None:
            click.echo(f"report: {html}")
        return
    from sigma_bot.report.summary import document, full_document

    whole = output == "full"
    result, metrics = stored.result, stored.metrics
    content = full_document(result, metrics, stored.trades) if whole else document(result, metrics)
    show_json(summary(stored.run) | content)


def _show_sweep(run: StoredRun, trials: list[Trial], output: str) -> None:
    if output != "table":
        show_json(summary(run) | {"trials": [vars(trial) for trial in trials]})
        return
    from rich.table import Table

    objective = str(run.details["settings"].get("objective", "sharpe"))
    known = [trial for trial in trials if _number(trial.metrics.get(objective)) is not None]
    best = sorted(known, key=lambda trial: -(_number(trial.metrics[objective]) or 0))[:MOST_TRIALS]
    title = f"{run.name}: {len(trials)} trials, best by {objective}"
    table = Table("trial", "parameters", objective, title=title)
    for trial in best:
        value = _shown(run, objective, trial.metrics[objective])
        table.add_row(str(trial.number), _params(trial.params), value)
    _print(table)


def _showcomparison(left: StoredRun, right: StoredRun) -> None:
    from rich.table import Table

    from sigma_bot.report.format import MINUS

    told = comparison(left, right)
    table = Table(f"{left.name} and {right.name}", left.id, right.id, "difference", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, (one, other) in told["metrics"].items():
        change = _change(one, other)
        shown = f"{'+' if change > 0 else MINUS}{_shown(right, name, abs(change))}" if change else ""
        table.add_row(_label(name), _shown(left, name, one), _shown(right, name, other), shown)
    _print(table)
    click.echo()
    for name, same in told["same"].items():
        click.echo(f"{name:<10}{'same' if same else 'differs'}")
    for title in ("params", "manifest"):
        for name, (one, other) in told[title].items():
            click.echo(f"{title}: {name}: {one!s} -> {other!s}")


def _runs_table(runs: list[StoredRun]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("created (UTC)", no_wrap=True)
    table.add_column("name", overflow="fold")
    for name in ("return", "sharpe", "trades"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        figures = [_shown(run, name, run.metrics.get(name)) for name in ("total_return", "sharpe", "trades")]
        if run.kind == "sweep":
            figures[-1] = f"{run.counts.get('trials', 0)} trials"
        described = f"{run.name} ({_params(run.params)})" if run.params else run.name
        table.add_row(run.id, f"{run.created:%Y-%m-%d %H:%M}", described, *figures)
    return table


def _label(name: str) -> str:
    from sigma_bot.metrics.definitions import DEFINITIONS

    return DEFINITIONS[name].label if name in DEFINITIONS else name


def _shown(run: StoredRun, name: str, value: Any) -> str:
    from sigma_bot.metrics.definitions import DEFINITIONS
    from sigma_bot.report.format import digits_of, show

    kind = DEFINITIONS[name].kind if name in DEFINITIONS else "ratio"
    return show(value, kind, run.currency, digits_of(run.initial_cash, run.precision))


def _change(one: Any, other: Any) -> Any:
    """``other - one`` when both are numbers of one sort, else None."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return other - one
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return other - one
    return None


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float, Decimal)) and value == value else None  # noqa: PLR0124


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False).print(table)
