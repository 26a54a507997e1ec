"""PerformanceReporter: one door to everything that is said about a backtest's result."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sigma_bot.metrics.definitions import Metric
from sigma_bot.metrics.metrics import metrics_of
from sigma_bot.results.result import BacktestResult
from sigma_bot.results.trades import result_trades

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class PerformanceReporter:
    """Trades and metrics of a result, each computed once; and the ways to show them.

    >>> reporter = PerformanceReporter(result)      # doctest: +SKIP
    >>> reporter.metrics["sharpe"]                  # doctest: +SKIP
    >>> print(reporter.json(full=True))             # doctest: +SKIP
    """

    result: BacktestResult

    @cached_property
    def trades(self) -> NDArray[np.void]:
        """Round trips (``backtest.trades.TRADE``)."""
        return result_trades(self.result)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric by name; undefined ones are None."""
        return metrics_of(self.result, self.trades)

    def json(self, full: bool = False) -> str:
        """The JSON document; ``full`` adds orders, fills, trades and equity."""
        from sigma_bot.report.summary import document, full_document, to_json

        if full:
            return to_json(full_document(self.result, self.metrics, self.trades))
        return to_json(document(self.result, self.metrics))

    def show(self, console: Console | None = None) -> None:
        """Print the summary table, on standard output unless a console is given."""
        from sigma_bot.report.terminal import show_summary

        show_summary(self.result, self.metrics, console)

    def html(self, path: str | Path) -> Path:
        """Write the HTML report, whole or not at all; raises ``BadInputError`` when the place cannot be
        written.
        """
        from sigma_bot.report.html import write_html

        return write_html(path, self.result, self.metrics, self.trades)

    def drafted_html(self, path: str | Path) -> AbstractContextManager[Path]:
        """The HTML report, put in its place when the block ends without an error."""
        from sigma_bot.report.html import html_report
        from sigma_bot.report.page import drafted

        return drafted(path, html_report(self.result, self.metrics, self.trades))
