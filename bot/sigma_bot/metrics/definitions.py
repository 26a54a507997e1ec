"""The list of metrics: order, label, unit and meaning. Every output of a result is driven by this table.

How a ratio is computed, with its source, stands in the docstring of the function that computes it
(``ratios``, ``drawdown``, ``tradestats``, ``returns``); the sentence here is what a reader of a report needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["money", "percent", "ratio", "count", "seconds", "time", "text"]
Metric: TypeAlias = float | int | str | Decimal | None
"""Money is a Decimal, a time ISO 8601 text, a duration seconds, a percentage a fraction; None is
undefined."""


@dataclass(frozen=True)
class Definition:
    """One metric: the name in JSON, the label for people, its unit, its place and its meaning."""

    name: str
    label: str
    kind: Kind
    group: str
    meaning: str


_TABLE: tuple[tuple[str, str, Kind, str, str], ...] = (
    ("initial_cash", "Initial cash", "money", "Return", "Cash at the start."),
    ("final_equity", "Final equity", "money", "Return", "Cash and open positions at the last mark."),
    ("net_profit", "Net profit", "money", "Return", "Final equity less initial cash."),
    ("total_return", "Total return", "percent", "Return", "Net profit over initial cash."),
    ("cagr", "CAGR", "percent", "Return", "Growth a year, compounded, over calendar time (365 days)."),
    (
        "benchmark_return",
        "Buy and hold",
        "percent",
        "Return",
        "Equal-weight buy-and-hold of the symbols, no fees.",
    ),
    ("excess_return", "Over buy and hold", "percent", "Return", "Total return less buy and hold's."),
    ("volatility", "Volatility", "percent", "Risk", "Standard deviation of returns, annualised."),
    ("max_drawdown", "Max drawdown", "percent", "Risk", "Deepest fall from a peak, over the equity samples."),
    (
        "max_drawdown_money",
        "Max drawdown, exact",
        "money",
        "Risk",
        "Largest fall from a peak, over every row of data.",
    ),
    (
        "max_drawdown_duration",
        "Longest drawdown",
        "seconds",
        "Risk",
        "Longest time from a peak to its recovery.",
    ),
    ("max_drawdown_start", "Drawdown from", "time", "Risk", "Peak before the deepest drawdown."),
    ("max_drawdown_trough", "Drawdown low", "time", "Risk", "Bottom of the deepest drawdown."),
    (
        "max_drawdown_end",
        "Recovered",
        "time",
        "Risk",
        "When the deepest drawdown was made good; empty: not yet.",
    ),
    ("benchmark_max_drawdown", "Max drawdown, hold", "percent", "Risk", "Deepest drawdown of buy and hold."),
    ("var_95", "VaR 95 %", "percent", "Risk", "One period in twenty returned less than this (historical)."),
    ("cvar_95", "CVaR 95 %", "percent", "Risk", "Mean of those worst periods (historical)."),
    ("sharpe", "Sharpe", "ratio", "Ratios", "Mean excess return over its deviation, annualised."),
    ("sortino", "Sortino", "ratio", "Ratios", "Mean excess return over the downside deviation, annualised."),
    ("calmar", "Calmar", "ratio", "Ratios", "CAGR over the max drawdown."),
    ("omega", "Omega", "ratio", "Ratios", "Sum of gains over sum of losses, of periods."),
    (
        "probabilistic_sharpe",
        "Probabilistic Sharpe",
        "percent",
        "Ratios",
        "Probability that the true Sharpe is above 0.",
    ),
    ("alpha", "Alpha", "percent", "Ratios", "Return a year that beta does not explain."),
    ("beta", "Beta", "ratio", "Ratios", "Slope of the returns on buy and hold's."),
    ("correlation", "Correlation", "ratio", "Ratios", "Correlation of the returns with buy and hold's."),
    ("skew", "Skew", "ratio", "Ratios", "Asymmetry of returns; negative: the large moves are losses."),
    ("kurtosis", "Excess kurtosis", "ratio", "Ratios", "Weight of the tails; 0 for a normal distribution."),
    (
        "returns_period",
        "Returns period",
        "text",
        "Basis",
        "Length of the periods that returns are taken over.",
    ),
    ("returns_count", "Returns", "count", "Basis", "Number of those returns."),
    ("periods_per_year", "Periods a year", "ratio", "Basis", "What annualised figures are scaled with."),
    ("exposure", "Time in market", "percent", "Activity", "Part of the time with any position open."),
    (
        "average_leverage",
        "Average leverage",
        "ratio",
        "Activity",
        "Gross position value over equity, mean of samples.",
    ),
    ("max_leverage", "Peak leverage", "ratio", "Activity", "The same, largest sample."),
    ("turnover", "Turnover", "ratio", "Activity", "Traded value over average equity."),
    ("turnover_annual", "Turnover a year", "ratio", "Activity", "The same for 365 days at that pace."),
    ("fees", "Fees", "money", "Activity", "Fees paid, liquidation fees included."),
    ("funding", "Funding", "money", "Activity", "Funding paid; negative: received."),
    ("trades", "Trades", "count", "Trades", "Closed round trips, flat to flat."),
    ("open_trades", "Still open", "count", "Trades", "Positions open at the end; not in the figures below."),
    ("win_rate", "Win rate", "percent", "Trades", "Trades with a profit after fees."),
    ("profit_factor", "Profit factor", "ratio", "Trades", "Profit of winners over loss of losers."),
    ("payoff_ratio", "Payoff ratio", "ratio", "Trades", "Average winner over average loser."),
    ("expectancy", "Expectancy", "money", "Trades", "Average profit of a trade after fees."),
    ("sqn", "SQN", "ratio", "Trades", "System quality number: sqrt(n) * mean / deviation of trade profits."),
    ("average_trade", "Average trade", "percent", "Trades", "Average profit over the trade's entry value."),
    ("best_trade", "Best trade", "money", "Trades", "Largest profit of a trade."),
    ("worst_trade", "Worst trade", "money", "Trades", "Largest loss of a trade."),
    ("longest_losing_streak", "Losing streak", "count", "Trades", "Most losing trades in a row, by exit."),
    (
        "average_holding",
        "Average holding",
        "seconds",
        "Trades",
        "Time from the first entry to the last exit.",
    ),
    ("median_holding", "Median holding", "seconds", "Trades", "Half of the trades were shorter."),
    ("average_mae", "Average MAE", "money", "Trades", "How far a trade ran against its entry."),
    ("worst_mae", "Worst MAE", "money", "Trades", "The furthest a trade ran against its entry."),
    ("average_mfe", "Average MFE", "money", "Trades", "How far a trade ran in its favour."),
    ("best_mfe", "Best MFE", "money", "Trades", "The furthest a trade ran in its favour."),
)
DEFINITIONS: dict[str, Definition] = {row[0]: Definition(*row) for row in _TABLE}
"""Every metric by name, in the order of a report."""
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row[3] for row in _TABLE))
