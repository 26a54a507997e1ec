"""The summary on a terminal: two columns that fit 80 characters and read as well without colour.

Imported only where a table is printed, since rich takes its time to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sigma_bot.metrics.definitions import DEFINITIONS, Metric
from sigma_bot.report.format import digits_of, duration, period, show
from sigma_bot.report.summary import describe_market, describe_strategy
from sigma_bot.results.result import BacktestResult

LEFT: Mapping[str, tuple[str, ...]] = {
    "Return": ("initial_cash", "final_equity", "total_return", "benchmark_return", "cagr", "alpha", "beta"),
    "Risk": (
        "volatility",
        "max_drawdown",
        "max_drawdown_money",
        "max_drawdown_duration",
        "var_95",
        "cvar_95",
    ),
    "Activity": ("exposure", "average_leverage", "turnover", "fees", "funding"),
}
RIGHT: Mapping[str, tuple[str, ...]] = {
    "Ratios": ("sharpe", "sortino", "calmar", "omega", "probabilistic_sharpe", "skew", "kurtosis"),
    "Trades": (
        "trades",
        "open_trades",
        "win_rate",
        "profit_factor",
        "expectancy",
        "sqn",
        "average_trade",
        "best_trade",
        "worst_trade",
        "average_holding",
        "worst_mae",
        "best_mfe",
    ),
}
SIGNED = {"total_return", "benchmark_return", "cagr", "alpha", "expectancy", "average_trade"}


def render(result: BacktestResult, metrics: Mapping[str, Metric]) -> RenderableType:
    """Everything a trader looks at first."""
    parts: list[RenderableType] = [_head(result), _columns(result, metrics)]
    notes = _notes(result, metrics)
    if notes.row_count:
        parts.append(notes)
    parts.append(_foot(result))
    return Group(*parts)


def show_summary(
    result: BacktestResult, metrics: Mapping[str, Metric], console: Console | None = None
) -> None:
    """Print the summary, on standard output unless a console is given; never wider than 100 columns."""
    console = Console(highlight=False) if console is None else console
    console.print(render(result, metrics), width=min(console.width, 100), highlight=False)


def _head(result: BacktestResult) -> Panel:
    span = duration((result.end - result.start) / 1e9)
    body = Text()
    body.append(describe_strategy(result) + "\n", "bold")
    body.append(describe_market(result) + "\n")
    body.append(f"{period(result.start, result.end)}  ({span})")
    title = Text(f" {result.name} ", "bold cyan")
    return Panel(body, title=title, title_align="left", box=box.ROUNDED, padding=(0, 1), border_style="cyan")


def _columns(result: BacktestResult, metrics: Mapping[str, Metric]) -> Table:
    outer = Table.grid(expand=True, padding=(0, 3, 0, 1))
    outer.add_column(ratio=1)
    outer.add_column(ratio=1)
    outer.add_row(_side(LEFT, result, metrics), _side(RIGHT, result, metrics))
    return outer


def _side(
    groups: Mapping[str, Iterable[str]], result: BacktestResult, metrics: Mapping[str, Metric]
) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, ratio=1)
    digits = digits_of(result.money(result.initial_cash), result.precision)
    for group, names in groups.items():
        table.add_row(Text(group, "bold underline"), "")
        for name in names:
            known = DEFINITIONS[name]
            value = metrics[name]
            text = show(value, known.kind, result.currency if name == "final_equity" else "", digits)
            table.add_row(Text(known.label, "default"), Text(text, _style(name, value)))
        table.add_row("", "")
    return table


def _style(name: str, value: Metric) -> str:
    if value is None:
        return "dim"
    if name in SIGNED and not isinstance(value, str):
        return "bold green" if value > 0 else "bold red" if value < 0 else ""
    return ""


def _notes(result: BacktestResult, metrics: Mapping[str, Metric]) -> Table:
    """Rejections by reason, ambiguous bars, warnings: what a trader must know before believing the rest."""
    notes = Table.grid(padding=(0, 2, 0, 1))
    notes.add_column(no_wrap=True)
    notes.add_column(ratio=1, overflow="fold")
    if result.rejections:
        total = sum(result.rejections.values())
        ranked = sorted(result.rejections.items(), key=lambda item: -item[1])
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in ranked)
        notes.add_row(Text("Rejected orders", "bold"), Text(f"{total:,}: {reasons}"))
    ambiguous = result.counts.get("ambiguous_bars", 0)
    if ambiguous:
        sentence = f"{ambiguous:,}: orders on both sides inside one bar; the adverse extreme came first"
        notes.add_row(Text("Ambiguous bars", "bold"), Text(sentence))
    liquidations = result.counts.get("liquidations", 0)
    if liquidations:
        notes.add_row(Text("Liquidations", "bold red"), Text(f"{liquidations:,}"))
    for warning in result.warnings:
        notes.add_row(Text("Warning", "bold yellow"), Text(warning))
    basis = f"{metrics['returns_count']:,} returns of {metrics['returns_period']}"
    scale = show(metrics["periods_per_year"], "ratio").removesuffix(".00")
    notes.add_row(Text("Ratios from", "dim"), Text(f"{basis}, {scale} a year", "dim"))
    return notes


def _foot(result: BacktestResult) -> Text:
    run = result.seconds.get("run", 0.0)
    speed = f" · {result.events / run:,.0f} events/s" if run > 0 else ""
    total = sum(result.seconds.values())
    phases = " ".join(f"{name} {value:.2f}" for name, value in result.seconds.items())
    foot = Text("\n ")
    foot.append(f"{result.events:,} events, {result.engine}{speed}\n ", "dim")
    foot.append(f"{total:.2f} s: {phases}\n ", "dim")
    if result.engine_reason:
        foot.append(f"interpreted because {result.engine_reason}\n ", "yellow")
    foot.append(f"digest {result.digest}", "dim")
    return foot
