"""``sigma backtest``: run a Backtest manifest."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sigma_bot.cli.options import run_options
from sigma_bot.cli.progress import Progress

if TYPE_CHECKING:
    from sigma_bot.results.result import BacktestResult


@click.command(short_help="Run a backtest and report it.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the strategy."
)
@run_options
@click.option(
    "--output",
    type=click.Choice(["table", "json", "full"]),
    default="table",
    show_default=True,
    help="json is a summary, full adds orders, fills, trades and equity.",
)
@click.option("--html", metavar="FILE", help="Write a self-contained HTML report.")
@click.option("--db", metavar="URL", help="Store the result here.  [default: ~/.sigma/sigma.db]")
@click.option("--no-store", is_flag=True, help="Do not store the result.")
def backtest(
    file: Path,
    settings: tuple[str, ...],
    start: str | None,
    end: str | None,
    data: str | None,
    engine: str,
    output: str,
    html: str | None,
    db: str | None,
    no_store: bool,
) -> None:
    """Run the backtest that FILE describes, print its result, and store it.

    \b
    sigma backtest examples/ema-cross/backtest.yaml
    sigma backtest FILE --set fast=8 --from 2010-01-01 --html report.html
    """
    from sigma_bot.backtest.tester import run_backtest
    from sigma_bot.services.backtests import overridden, report_path
    from sigma_bot.spec import load_manifest

    manifest = overridden(load_manifest(file, "Backtest"), file.parent, settings, start, end, data)
    target = report_path(html, manifest, file.parent)
    bar = Progress("backtest")
    try:
        result = run_backtest(manifest, file.parent, engine, bar.update)  # type: ignore[arg-type]
    finally:
        bar.clear()
    report(result, output, target, None if no_store else (db,))


def report(result: BacktestResult, output: str, html: str | None, store: tuple[str | None] | None) -> None:
    """HTML file, storage, then the answer on standard output: what is printed has happened."""
    from sigma_bot.backtest.tester import Clock
    from sigma_bot.report.reporter import PerformanceReporter
    from sigma_bot.services.backtests import save_result

    clock = Clock(result.seconds)
    reporter = PerformanceReporter(result)
    reporter.metrics  # noqa: B018 - computed here, so that its time counts
    # the report comes into its place when the run is stored: there are both, or neither
    with nullcontext() if html is None else reporter.drafted_html(html):
        run_id = save_result(reporter, store[0]) if store is not None else None
    clock.lap("report")
    if output != "table":
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        if run_id is not None:
            click.echo(f"stored: {run_id}", err=True)
        click.echo(reporter.json(full=output == "full"))
        return
    reporter.show()
    if html is not None:
        click.echo(f"report: {html}")
    if run_id is not None:
        click.echo(f"stored: {run_id} (sigma results show {run_id})")
