"""``sigma backtest``: run a Backtest manifest."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sigma_bot.cli.options import run_options
from sigma_bot.cli.progress import Progress

if TYPE_CHECKING:
    from sigma_bot.report.reporter import PerformanceReporter
    from sigma_bot.results.result import BacktestResult
    from sigma_bot.spec import Backtest


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
    from sigma_bot.spec import load_manifest

    manifest = override(load_manifest(file, "Backtest"), file.parent, settings, start, end, data)
    target = target_of(html, manifest, file.parent)
    bar = Progress("backtest")
    try:
        result = run_backtest(manifest, file.parent, engine, bar.update)  # type: ignore[arg-type]
    finally:
        bar.clear()
    report(result, output, target, None if no_store else (db,))


def override(
    manifest: Backtest,
    base: Path,
    settings: tuple[str, ...],
    start: str | None,
    end: str | None,
    data: str | None,
) -> Backtest:
    """The manifest with the command line's values in place."""
    from sigma_bot.runtime.loader import load_strategy, parse_settings
    from sigma_bot.spec import with_overrides

    params = parse_settings(load_strategy(manifest.spec.strategy, base).cls, settings) if settings else None
    if params or start or end or data:
        return with_overrides(manifest, params=params, period_from=start, period_to=end, data_path=data)
    return manifest


def target_of(html: str | None, manifest: Backtest, base: Path) -> str | None:
    """Where the report goes; a place in the manifest starts at its folder."""
    written = manifest.spec.report.html
    if html is not None or written is None:
        check_target(html)
        return html
    check_target(str(base / written), "spec.report.html")
    return str(base / written)


def check_target(html: str | None, where: str = "--html") -> None:
    """Find out before a long run that its report could not be written."""
    from sigma_bot.errors import BadInputError

    if html is None:
        return
    folder = Path(html).absolute().parent
    if not folder.is_dir():
        raise BadInputError(f"{where}: the folder {folder} does not exist; create it first")
    if Path(html).is_dir():
        raise BadInputError(f"{where}: {html or '.'} is a folder; give the name of a file, like report.html")


def report(result: BacktestResult, output: str, html: str | None, store: tuple[str | None] | None) -> None:
    """HTML file, storage, then the answer on standard output: what is printed has happened."""
    from sigma_bot.backtest.tester import Clock
    from sigma_bot.report.reporter import PerformanceReporter

    clock = Clock(result.seconds)
    reporter = PerformanceReporter(result)
    reporter.metrics  # noqa: B018 - computed here, so that its time counts
    # the report comes into its place when the run is stored: there are both, or neither
    with nullcontext() if html is None else reporter.drafted_html(html):
        run_id = save(reporter, store[0]) if store is not None else None
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


def save(reporter: PerformanceReporter, url: str | None) -> str:
    """Store the result; its id."""
    from sigma_bot.results import use_store

    return use_store(lambda store: store.save_result(reporter.result, reporter.trades, reporter.metrics), url)
