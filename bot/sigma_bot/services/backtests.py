"""A Backtest manifest with a user's changes to it, and its result in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sigma_bot.errors import BadInputError
from sigma_bot.spec import with_overrides

if TYPE_CHECKING:
    from sigma_bot.report.reporter import PerformanceReporter
    from sigma_bot.spec import Backtest


def overridden(
    manifest: Backtest,
    base: Path,
    settings: tuple[str, ...],
    start: str | None,
    end: str | None,
    data: str | None,
) -> Backtest:
    """The manifest with other parameters (``NAME=VALUE``), another period, other data. Raises BadInputError
    that names what is wrong."""
    from sigma_bot.runtime.loader import load_strategy, parse_settings

    params = parse_settings(load_strategy(manifest.spec.strategy, base).cls, settings) if settings else None
    if params or start or end or data:
        return with_overrides(manifest, params=params, period_from=start, period_to=end, data_path=data)
    return manifest


def report_path(html: str | None, manifest: Backtest, base: Path) -> str | None:
    """Where the report goes; a place in the manifest starts at its folder. Raises BadInputError."""
    written = manifest.spec.report.html
    if html is not None or written is None:
        check_report_path(html)
        return html
    check_report_path(str(base / written), "spec.report.html")
    return str(base / written)


def check_report_path(html: str | None, where: str = "--html") -> None:
    """Find out before a long run that its report could not be written. Raises BadInputError."""
    if html is None:
        return
    folder = Path(html).absolute().parent
    if not folder.is_dir():
        raise BadInputError(f"{where}: the folder {folder} does not exist; create it first")
    if Path(html).is_dir():
        raise BadInputError(f"{where}: {html or '.'} is a folder; give the name of a file, like report.html")


def save_result(reporter: PerformanceReporter, url: str | None) -> str:
    """Store the result; its id."""
    from sigma_bot.results import use_store

    return use_store(lambda store: store.save_result(reporter.result, reporter.trades, reporter.metrics), url)
