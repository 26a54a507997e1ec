"""Every ratio against empyrical, scipy or a published figure, on real prices."""

from __future__ import annotations

import csv
import gzip
import json
import math
from importlib import resources
from pathlib import Path
from statistics import NormalDist
from typing import Any

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from sigma_bot.metrics import ratios
from sigma_bot.metrics.drawdown import drawdown_of, underwater

SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


@pytest.fixture(scope="session")
def closes() -> dict[str, np.ndarray]:
    """Daily closes of five stocks, 2000 to 2013."""
    try:
        file = resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz"
    except ModuleNotFoundError:
        pytest.skip("bokeh_sampledata is not installed (the demo extra): no real bars")
    with gzip.open(file.open("rb"), "rt") as text:
        rows = list(csv.DictReader(text))
    return {s: np.array([float(r["Close"]) for r in rows if r["Ticker"] == s]) for s in SYMBOLS}


@pytest.fixture(params=SYMBOLS)
def returns(request: pytest.FixtureRequest, closes: dict[str, np.ndarray]) -> np.ndarray:
    prices = closes.get(request.param)
    if prices is None or len(prices) == 0:
        pytest.skip(f"{request.param} is not in the installed bokeh_sampledata")
    return np.diff(prices) / prices[:-1]


@pytest.mark.parametrize("year", [252, 365])
@pytest.mark.parametrize("annual", [0.0, 0.03])
def test_ratios_agree_with_empyrical(returns: np.ndarray, year: int, annual: float) -> None:
    free = ratios.per_period(annual, year)
    assert ratios.total_return(returns) == pytest.approx(empyrical.cum_returns_final(returns))
    assert ratios.volatility(returns, year) == pytest.approx(
        empyrical.annual_volatility(returns, annualization=year)
    )
    assert ratios.sharpe(returns, year, free) == pytest.approx(
        empyrical.sharpe_ratio(returns, free, annualization=year)
    )
    assert ratios.sortino(returns, year, free) == pytest.approx(
        empyrical.sortino_ratio(returns, free, annualization=year)
    )
    assert ratios.omega(returns, free) == pytest.approx(
        empyrical.omega_ratio(returns, required_return=annual, annualization=year)
    )
    assert ratios.value_at_risk(returns) == pytest.approx(empyrical.value_at_risk(returns))
    assert ratios.conditional_value_at_risk(returns) == pytest.approx(
        empyrical.conditional_value_at_risk(returns)
    )
    values = np.concatenate(([1.0], np.cumprod(1 + returns)))
    depth = drawdown_of(np.arange(len(values)), values).depth
    assert depth == pytest.approx(empyrical.max_drawdown(returns))
    growth = ratios.cagr(1.0, values[-1], len(returns) / year)
    assert growth == pytest.approx(empyrical.annual_return(returns, annualization=year))
    assert ratios.calmar(growth, depth) == pytest.approx(empyrical.calmar_ratio(returns, annualization=year))


def test_alpha_and_beta_agree_with_empyrical(closes: dict[str, np.ndarray]) -> None:
    long = [closes[s] for s in SYMBOLS if len(closes[s]) == max(map(len, closes.values()))]
    series = [np.diff(prices) / prices[:-1] for prices in long]
    market = np.mean(series, axis=0)
    free = ratios.per_period(0.03, 252)
    for own in series:
        assert ratios.beta(own, market, free) == pytest.approx(empyrical.beta(own, market, free))
        # empyrical compounds the daily alpha, Jensen's figure multiplies it
        daily = ratios.alpha(own, market, 252, free)
        assert daily is not None
        assert (1 + daily / 252) ** 252 - 1 == pytest.approx(
            empyrical.alpha(own, market, free, annualization=252)
        )
        assert ratios.correlation(own, market) == pytest.approx(stats.pearsonr(own, market).statistic)


def test_moments_agree_with_scipy(returns: np.ndarray) -> None:
    assert ratios.skew(returns) == pytest.approx(stats.skew(returns))
    assert ratios.kurtosis(returns) == pytest.approx(stats.kurtosis(returns))


def ours(
    name: str, series: np.ndarray, rows: int, year: int, free: Any, options: dict[str, Any]
) -> float | None:
    """Our value of one of empyrical's functions; KeyError for one that we do not have."""
    levels = np.concatenate(([1.0], np.cumprod(1 + series)))
    depth = drawdown_of(np.arange(len(levels)), levels).depth
    growth = ratios.cagr(1.0, float(levels[-1]), rows / year)
    match name:
        case "cum_returns_final":
            return ratios.total_return(series)
        case "max_drawdown":
            return depth
        case "annual_return":
            return growth
        case "annual_volatility":
            return ratios.volatility(series, year)
        case "calmar_ratio":
            return ratios.calmar(growth, depth)
        case "sharpe_ratio":
            return ratios.sharpe(series, year, free)
        case "sortino_ratio":
            return ratios.sortino(series, year, free)
        case "omega_ratio":
            return ratios.omega(series, free + ratios.per_period(options["required_return_annual"], year))
        case "value_at_risk":
            return ratios.value_at_risk(series, options["cutoff"])
    raise KeyError(name)


def test_published_vectors(shared_data: Path) -> None:
    path = shared_data / "reference" / "metric_vectors.json"
    if not path.exists():
        pytest.skip(f"{path} is absent: no published vectors")
    vectors = json.loads(path.read_text())
    year_of = {"daily": 252, "weekly": 52, "monthly": 12}
    checked = []
    for name, source, options, expected in vectors["expected"]:
        if name in ("downside_risk", "stability_of_timeseries"):
            continue  # no figures of ours
        rows = vectors["series"][source] if isinstance(source, str) else source
        free = options.get("risk_free", options.get("required_return", 0.0))
        if isinstance(free, str):
            other = vectors["series"][free]
            free = np.array([y for x, y in zip(rows, other, strict=True) if x is not None])
        series = np.array([x for x in rows if x is not None], float)
        year = year_of[options.get("period", "daily")]
        found = ours(name, series, len(rows), year, free, options)
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-5), (name, source, options)
        checked.append(name)
    assert len(checked) == 25
    for start, end, days, expected in vectors["cagr_from_balances"]["rows"]:
        assert ratios.cagr(start, end, days / 365) == pytest.approx(expected, abs=5e-5)


def test_probabilistic_sharpe_is_the_normal_case_for_normal_returns() -> None:
    """With no skew and normal tails the formula is Lo's (2002) standard error of a Sharpe ratio."""
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])
    series = 0.05 + quantiles
    ratio = float(np.mean(series) / np.std(series, ddof=1))
    error = math.sqrt((1 + ratio**2 / 2) / (len(series) - 1))
    assert ratios.probabilistic_sharpe(series) == pytest.approx(stats.norm.cdf(ratio / error), abs=1e-4)
    assert ratios.probabilistic_sharpe(series, target=ratio) == pytest.approx(0.5)


def test_deflated_sharpe_of_the_paper() -> None:
    """The example of Bailey and López de Prado (2014): 100 trials, five years of days, annual Sharpe 2.5."""
    ratio, variance = 2.5 / math.sqrt(250), 0.5 / 250
    target = ratios.expected_maximum_sharpe(100, variance)
    assert target == pytest.approx(0.1132, abs=5e-5)
    assert ratios._probability(ratio, target, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_expected_maximum_is_that_of_independent_trials() -> None:
    """The approximation lies within 2.5 % of the exact mean maximum of N standard normals."""
    for trials in (10, 100, 1000):
        x = np.linspace(-10, 10, 200_001)
        density = trials * stats.norm.cdf(x) ** (trials - 1) * stats.norm.pdf(x)
        exact = float(np.sum(x * density) * (x[1] - x[0]))
        assert ratios.expected_maximum_sharpe(trials, 1.0) == pytest.approx(exact, rel=0.025)


def test_more_trials_deflate_more(returns: np.ndarray) -> None:
    spread = np.linspace(-0.05, 0.05, 11)
    single = ratios.deflated_sharpe(returns, 1, [0.03])
    few, many = ratios.deflated_sharpe(returns, 11, spread), ratios.deflated_sharpe(returns, 1000, spread)
    assert single == ratios.probabilistic_sharpe(returns)
    assert single is not None
    assert few is not None
    assert many is not None
    assert single > few > many


@pytest.mark.parametrize("series", [[], [0.01], [0.01, 0.01, 0.01], [0.0, 0.0]])
def test_what_is_undefined_is_none(series: list[float]) -> None:
    values = np.array(series)
    assert ratios.sharpe(values, 365) is None
    assert ratios.probabilistic_sharpe(values) is None
    assert ratios.skew(values) is None
    assert ratios.kurtosis(values) is None
    assert ratios.sortino(values, 365) is None
    assert ratios.omega(values) is None
    assert ratios.beta(values, values) is None
    assert ratios.cagr(0.0, 1.0, 1.0) is None
    assert ratios.cagr(1.0, 2.0, 0.001) is None
    assert ratios.cagr(1.0, 1e300, 0.003) is None
    assert ratios.cagr(1.0, -1.0, 1.0) == -1.0


@given(arrays(float, st.integers(0, 30), elements=st.floats(-0.9, 5.0)))
def test_no_ratio_is_ever_nan_or_infinite(series: np.ndarray) -> None:
    found = [
        ratios.total_return(series),
        ratios.volatility(series, 365),
        ratios.sharpe(series, 365),
        ratios.sortino(series, 365),
        ratios.omega(series),
        ratios.value_at_risk(series),
        ratios.conditional_value_at_risk(series),
        ratios.skew(series),
        ratios.kurtosis(series),
        ratios.beta(series, series[::-1]),
        ratios.alpha(series, series[::-1], 365),
        ratios.correlation(series, series[::-1]),
        ratios.probabilistic_sharpe(series),
    ]
    assert all(x is None or math.isfinite(x) for x in found)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40))
def test_drawdown_equals_a_plain_loop(levels: list[float]) -> None:
    values, ts = np.array(levels), np.arange(len(levels)) * 10
    peak, since, depth, longest = levels[0], 0, 0.0, 0
    for i, level in enumerate(levels):
        if level >= peak:
            longest = max(longest, 10 * (i - since) if i - since > 1 else 0)
            peak, since = level, i
        depth = min(depth, level / peak - 1)
    longest = max(longest, 10 * (len(levels) - 1 - since))
    found = drawdown_of(ts, values)
    assert found.depth == depth
    assert found.longest == longest
    assert underwater(values).min() == depth
    if depth < 0:
        assert found.peak is not None
        assert found.trough is not None
        assert values[found.trough // 10] / values[found.peak // 10] - 1 == depth
        assert found.recovered is None or values[found.recovered // 10] >= values[found.peak // 10]
