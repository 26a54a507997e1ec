"""Performance ratios of a series of regular returns. Pure functions: arrays in, a float or None (undefined)
out.

``per_year`` is the number of periods in a year, the annualisation. ``risk_free`` is the return of one period,
see :func:`per_period`. Undefined means: too few returns, or a division by nothing (no variation, no loss).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EULER_GAMMA = 0.577215664901532860606512


def finite(value: float) -> float | None:
    """The value, or None where it is NaN or infinite: what JSON cannot say is undefined here."""
    return float(value) if math.isfinite(value) else None


def per_period(annual: float, per_year: float) -> float:
    """Return of one period that compounds to ``annual`` in a year."""
    return float((1.0 + annual) ** (1.0 / per_year) - 1.0)


def deviation(returns: Floats) -> float | None:
    """Sample standard deviation (``ddof`` 1), None below two returns or when they do not vary beyond
    rounding."""
    if len(returns) < 2:
        return None
    value = float(np.std(returns, ddof=1))
    return value if value > 1e-14 * float(np.max(np.abs(returns))) else None


def total_return(returns: Floats) -> float | None:
    """Compounded return of the series."""
    return finite(float(np.prod(1.0 + returns) - 1.0)) if len(returns) else None


def cagr(start: float, end: float, years: float) -> float | None:
    """Compound annual growth rate, ``(end / start) ** (1 / years) - 1`` with years of 365 days of calendar
    time.

    -1 when everything is lost. None for less than a day: raised to the 365th power and more it says nothing.
    """
    if start <= 0 or years * 365 < 1:
        return None
    if end <= 0:
        return -1.0
    try:
        return finite(math.exp(math.log(end / start) / years) - 1.0)
    except OverflowError:
        return None


def volatility(returns: Floats, per_year: float) -> float | None:
    """Annualised standard deviation of returns, ``std(ddof=1) * sqrt(per_year)``; 0 for a series that never
    moves."""
    if len(returns) < 2:
        return None
    return float(np.std(returns, ddof=1)) * math.sqrt(per_year)


def period_sharpe(returns: Floats, risk_free: float = 0.0) -> float | None:
    """Sharpe ratio of one period, not annualised: ``mean(r - rf) / std(r - rf, ddof=1)``."""
    excess = returns - risk_free
    spread = deviation(excess)
    return None if spread is None else float(np.mean(excess)) / spread


def sharpe(returns: Floats, per_year: float, risk_free: float = 0.0) -> float | None:
    """Sharpe ratio (Sharpe, *The Sharpe Ratio*, 1994), annualised by ``sqrt(per_year)``."""
    value = period_sharpe(returns, risk_free)
    return None if value is None else value * math.sqrt(per_year)


def sortino(returns: Floats, per_year: float, risk_free: float = 0.0) -> float | None:
    """Sortino ratio (Sortino and Price, 1994), annualised by ``sqrt(per_year)``.

    Mean excess return over the downside deviation ``sqrt(mean(min(r - rf, 0) ** 2))``, the mean taken over
    all returns, not over the losing ones alone.
    """
    if len(returns) < 2:
        return None
    excess = returns - risk_free
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return finite(float(np.mean(excess)) / downside * math.sqrt(per_year)) if downside > 0 else None


def calmar(growth: float | None, drawdown: float) -> float | None:
    """Calmar ratio (Young, 1991) over the whole run: CAGR over the depth of the deepest drawdown (a
    fraction)."""
    if growth is None or drawdown == 0:
        return None
    return finite(growth / abs(drawdown))


def omega(returns: Floats, threshold: float = 0.0) -> float | None:
    """Omega ratio (Keating and Shadwick, 2002): gains above the period's threshold over the losses below
    it."""
    excess = returns - threshold
    losses = -float(np.sum(excess[excess < 0]))
    return finite(float(np.sum(excess[excess > 0])) / losses) if losses > 0 else None


def value_at_risk(returns: Floats, cutoff: float = 0.05) -> float | None:
    """Historical value at risk of one period: the ``cutoff`` quantile of returns (linear interpolation),
    signed."""
    return finite(float(np.quantile(returns, cutoff))) if len(returns) else None


def conditional_value_at_risk(returns: Floats, cutoff: float = 0.05) -> float | None:
    """Expected shortfall of one period: mean of the ``floor((n - 1) * cutoff) + 1`` worst returns, signed."""
    if len(returns) == 0:
        return None
    tail = int((len(returns) - 1) * cutoff) + 1
    return finite(float(np.mean(np.partition(returns, tail - 1)[:tail])))


def _standardised(returns: Floats, power: int) -> float | None:
    if deviation(returns) is None:
        return None
    # Scaled before the power is taken: tiny returns would vanish in it.
    return finite(float(np.mean(((returns - np.mean(returns)) / np.std(returns)) ** power)))


def skew(returns: Floats) -> float | None:
    """Skewness of the returns, ``m3 / m2 ** 1.5`` with population moments (Fisher-Pearson, no bias
    correction)."""
    return _standardised(returns, 3)


def kurtosis(returns: Floats) -> float | None:
    """Excess kurtosis of the returns, ``m4 / m2 ** 2 - 3`` with population moments; 0 for a normal
    distribution."""
    value = _standardised(returns, 4)
    return None if value is None else value - 3.0


def beta(returns: Floats, benchmark: Floats, risk_free: float = 0.0) -> float | None:
    """Slope of the strategy's excess returns on the benchmark's: covariance over variance."""
    if len(returns) != len(benchmark) or deviation(benchmark) is None:
        return None
    market = benchmark - risk_free - np.mean(benchmark - risk_free)
    return finite(float(np.sum((returns - risk_free) * market) / np.sum(market**2)))


def alpha(returns: Floats, benchmark: Floats, per_year: float, risk_free: float = 0.0) -> float | None:
    """Jensen's alpha (Jensen, 1968): mean excess return less beta times the benchmark's, times
    ``per_year``."""
    slope = beta(returns, benchmark, risk_free)
    if slope is None:
        return None
    return finite(float(np.mean(returns - risk_free) - slope * np.mean(benchmark - risk_free)) * per_year)


def correlation(returns: Floats, benchmark: Floats) -> float | None:
    """Pearson correlation of the strategy's returns with the benchmark's."""
    if len(returns) != len(benchmark) or deviation(returns) is None or deviation(benchmark) is None:
        return None
    return finite(float(np.corrcoef(returns, benchmark)[0, 1]))


def probabilistic_sharpe(returns: Floats, target: float = 0.0, risk_free: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio exceeds ``target`` (both of one period, not annualised).

    ``Phi((SR - target) * sqrt(n - 1) / sqrt(1 - skew * SR + (kurt - 1) / 4 * SR ** 2))`` with the plain (not
    excess) kurtosis: Bailey and López de Prado, *The Sharpe Ratio Efficient Frontier*, 2012.
    """
    excess = returns - risk_free
    ratio, lean, tails = period_sharpe(excess), skew(excess), kurtosis(excess)
    if ratio is None or lean is None or tails is None:
        return None
    return _probability(ratio, target, len(returns), lean, tails + 3.0)


def _probability(ratio: float, target: float, count: int, lean: float, tails: float) -> float | None:
    """The formula of :func:`probabilistic_sharpe` on given moments; ``tails`` is the plain kurtosis."""
    variance = 1.0 - lean * ratio + (tails - 1.0) / 4.0 * ratio**2
    if variance <= 0 or count < 2:
        return None
    return NormalDist().cdf((ratio - target) * math.sqrt(count - 1) / math.sqrt(variance))


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio that the best of ``trials`` worthless strategies is expected to show.

    ``sqrt(variance) * ((1 - g) * Z(1 - 1 / N) + g * Z(1 - 1 / (N * e)))`` with the Euler-Mascheroni constant
    ``g`` and the inverse normal distribution ``Z``: Bailey and López de Prado, *The Deflated Sharpe Ratio*,
    2014. ``variance`` is that of the trials' Sharpe ratios, of one period each. 0 for a single trial: nothing
    was chosen.
    """
    if trials < 2 or variance <= 0:
        return 0.0
    inverse = NormalDist().inv_cdf
    best = (1 - EULER_GAMMA) * inverse(1 - 1 / trials) + EULER_GAMMA * inverse(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * best


def deflated_sharpe(
    returns: Floats, trials: int, trial_sharpes: Sequence[float] | Floats, risk_free: float = 0.0
) -> float | None:
    """Probability that the chosen run is better than luck, given how many were tried.

    The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe`: Bailey and López de Prado, *The
    Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality*, 2014.

    ``returns`` are the chosen run's; ``trials`` how many runs there were (more than ``trial_sharpes`` when
    some have no ratio); ``trial_sharpes`` the trials' Sharpe ratios of one period (an annualised one over
    ``sqrt(per_year)``).
    """
    known = np.asarray([x for x in trial_sharpes if math.isfinite(x)], dtype=float)
    variance = float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
    return probabilistic_sharpe(returns, expected_maximum_sharpe(trials, variance), risk_free)
