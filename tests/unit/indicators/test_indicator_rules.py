"""Warm-ups, defaults, bad periods, flat and empty markets, exactness."""

from __future__ import annotations

import inspect
import math
import re
import statistics
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot import indicators as ind
from sigma_bot.errors import BadInputError
from sigma_bot.kernel.struct import Struct, StructMeta
from tests.unit.indicators.indicator_series import made

CLASSES = [cls for name in ind.__all__ if isinstance(cls := getattr(ind, name), StructMeta)]

# class, setup's arguments, number of updates after which it is ready
WARMUPS: list[tuple[Any, tuple[Any, ...], int]] = [
    (ind.Sma, (20,), 20),
    (ind.Sma, (1,), 1),
    (ind.Ema, (20,), 20),
    (ind.Ema, (1,), 1),
    (ind.Rma, (14,), 14),
    (ind.Wma, (20,), 20),
    (ind.Wma, (1,), 1),
    (ind.Hma, (16,), 19),
    (ind.Hma, (2,), 2),
    (ind.Kama, (10, 2, 30), 11),
    (ind.Kama, (1, 2, 30), 2),
    (ind.Rsi, (14,), 15),
    (ind.Rsi, (1,), 2),
    (ind.Macd, (12, 26, 9), 34),
    (ind.Macd, (26, 12, 9), 34),
    (ind.Macd, (1, 1, 1), 1),
    (ind.Stochastic, (14, 3, 3), 18),
    (ind.Stochastic, (14, 1, 3), 16),
    (ind.Stochastic, (1, 1, 1), 1),
    (ind.Cci, (20,), 20),
    (ind.Cci, (1,), 1),
    (ind.Roc, (10,), 11),
    (ind.Roc, (1,), 2),
    (ind.Atr, (14,), 15),
    (ind.Atr, (1,), 2),
    (ind.Bollinger, (20, 2.0), 20),
    (ind.Bollinger, (1, 2.0), 1),
    (ind.Donchian, (20,), 20),
    (ind.Donchian, (1,), 1),
    (ind.Keltner, (20, 10, 2.0), 20),
    (ind.Keltner, (10, 10, 2.0), 11),
    (ind.StdDev, (20,), 20),
    (ind.StdDev, (1,), 1),
    (ind.ZScore, (20,), 20),
    (ind.ZScore, (1,), 1),
    (ind.Slope, (14,), 14),
    (ind.Slope, (2,), 2),
    (ind.Correlation, (20,), 20),
    (ind.Correlation, (2,), 2),
    (ind.Adx, (14,), 28),
    (ind.Adx, (1,), 2),
    (ind.Supertrend, (10, 3.0), 11),
    (ind.Supertrend, (1, 3.0), 2),
    (ind.Ichimoku, (9, 26, 52, 26), 78),
    (ind.Ichimoku, (9, 60, 52, 5), 65),
    (ind.Ichimoku, (1, 1, 1, 1), 2),
    (ind.Obv, (), 1),
    (ind.Mfi, (14,), 15),
    (ind.Mfi, (1,), 2),
    (ind.Vwap, (), 1),
    (ind.Vwap, (30,), 30),
    (ind.Highest, (20,), 20),
    (ind.Lowest, (20,), 20),
    (ind.Lag, (5,), 6),
    (ind.Ramp, (20,), 20),
    (ind.WindowSum, (20,), 20),
    (ind.WeightedMean, (20,), 20),
]


def row_of(cls: Any, price: float, volume: float) -> list[float]:
    """Arguments of ``update`` for a bar without range."""
    names = list(inspect.signature(cls.update).parameters)[1:]
    return [volume if n in ("volume", "weight") else 0 if n == "ts" else price for n in names]


def numbers_in(struct: Struct) -> list[float]:
    """Every number of the state and every property."""
    out: list[float] = []
    for name, t in type(struct).__fields__.items():
        value = getattr(struct, name)
        out += (
            numbers_in(value) if isinstance(t, StructMeta) else value if isinstance(value, list) else [value]
        )
    out += [float(getattr(struct, n)) for n, v in inspect.getmembers(type(struct)) if isinstance(v, property)]
    return out


def test_every_indicator_has_its_warmup_here() -> None:
    assert {cls for cls, _, _ in WARMUPS} == set(CLASSES)


@pytest.mark.parametrize(("cls", "args", "warmup"), WARMUPS)
def test_ready_after_the_stated_rows(cls: Any, args: tuple[Any, ...], warmup: int) -> None:
    indicator = made(cls, *args)
    seen = []
    for i in range(200):
        assert indicator.ready == (i >= warmup)
        indicator.update(*row_of(cls, 100.0 + i % 7, 1.0))
        seen.append(indicator.ready)
    assert seen.index(True) + 1 == warmup
    assert all(seen[warmup - 1 :])


@pytest.mark.parametrize("cls", CLASSES)
def test_without_setup_the_defaults_hold(cls: Any) -> None:
    """A fresh field equals one after ``setup()``: same state, so the same results."""
    assert repr(numbers_in(cls())) == repr(numbers_in(made(cls)))


@pytest.mark.parametrize("cls", CLASSES)
def test_setup_starts_over(cls: Any) -> None:
    """Old values in a window are never seen again: a used indicator behaves as a fresh one."""
    used, fresh = cls(), made(cls)
    for i in range(300):
        used.update(*row_of(cls, 1000.0 + i * i % 97, 2.0))
    used.setup()
    for i in range(120):
        row = row_of(cls, 50.0 + i * 31 % 13, 1.0)
        assert used.update(*row) == fresh.update(*row)
        assert used.ready == fresh.ready


@pytest.mark.parametrize("price", [0.0, 0.1, 64_123.45])
@pytest.mark.parametrize("volume", [0.0, 3.7])
@pytest.mark.parametrize("cls", CLASSES)
def test_flat_markets_give_finite_numbers(cls: Any, price: float, volume: float) -> None:
    indicator = cls()
    for _ in range(120):
        indicator.update(*row_of(cls, price, volume))
        assert all(math.isfinite(x) for x in numbers_in(indicator))


AVERAGES = [ind.Sma, ind.Wma, ind.Hma, ind.Kama, ind.StdDev, ind.Bollinger, ind.Vwap]


@pytest.mark.parametrize("args", [(), (30,)])
@pytest.mark.parametrize("cls", AVERAGES)
def test_a_flat_stretch_is_met_exactly(cls: Any, args: tuple[int, ...]) -> None:
    """After a jump to 0.1 or 64,123.45 the averages are that price: no crossings by rounding."""
    if cls is ind.Vwap and not args:
        pytest.skip("a session keeps its history")
    for price in (0.1, 64_123.45):
        indicator = made(cls, *args)
        for i in range(47):
            indicator.update(*row_of(cls, 50_000.0 + 0.37 * i, 1.3))
        for _ in range(90):
            indicator.update(*row_of(cls, price, 0.7))
        if cls is ind.StdDev:
            assert (indicator.mean, indicator.value) == (price, 0.0)
        elif cls is ind.Bollinger:
            assert indicator.upper == indicator.middle == indicator.lower == price
        elif cls is ind.Kama:  # recursive: the old price fades
            assert indicator.value == pytest.approx(price, rel=1e-6)
        else:
            assert indicator.value == price


def test_neutral_values_of_a_market_that_does_not_move() -> None:
    for cls, neutral in ((ind.Rsi, 50.0), (ind.Stochastic, 50.0), (ind.Mfi, 50.0), (ind.Cci, 0.0)):
        indicator = cls()
        for _ in range(60):
            indicator.update(*row_of(cls, 7.77, 5.0))
        assert indicator.value == neutral
    for cls in (ind.ZScore, ind.Correlation, ind.Slope, ind.Roc, ind.Atr, ind.Adx):  # type: ignore[assignment]
        indicator = cls()
        for _ in range(60):
            indicator.update(*row_of(cls, 7.77, 5.0))
        assert indicator.value == 0.0
    macd = ind.Macd()  # its averages start from TA-Lib's plain sums, which round
    assert all(abs(macd.update(7.77)) < 1e-14 for _ in range(60))


# --- bad periods ----------------------------------------------------------------------------------------


def test_the_message_names_the_remedy() -> None:
    with pytest.raises(ValueError) as error:
        made(ind.Sma, 300)
    assert str(error.value) == "Sma: period 300 exceeds the window of 256; declare the field as Sma[512]"
    assert made(ind.Sma[512], 300).period == 300
    with pytest.raises(ValueError, match=r"^Ema: period 0 must be at least 1$"):
        made(ind.Ema, 0)
    with pytest.raises(ValueError, match=r"^Slope: period 1 must be at least 2$"):
        made(ind.Slope, 1)


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not ind.Obv])
def test_every_period_is_checked(cls: Any) -> None:
    """Each length parameter refuses -1; those with a window refuse 257 and take it in a window of 512."""
    defaults = {n: p.default for n, p in inspect.signature(cls.setup).parameters.items() if n != "self"}
    lengths = [n for n, v in defaults.items() if isinstance(v, int) and n != "utc_offset"]
    assert lengths
    for name in lengths:
        with pytest.raises(ind.PeriodError, match=rf"^{cls.__name__}: {name} -1 must be at least [0-2]$"):
            cls().setup(**{name: -1})
        if cls in (ind.Ema, ind.Rma, ind.Rsi, ind.Macd, ind.Atr, ind.Keltner, ind.Adx, ind.Supertrend):
            cls().setup(**{name: 5000})
        elif (cls, name) not in ((ind.Kama, "fast"), (ind.Kama, "slow")):
            remedy = rf"^{cls.__name__}: {name} 257 .* declare the field as {cls.__name__}\[512\]$"
            with pytest.raises(ind.PeriodError, match=remedy):
                cls().setup(**{name: 257})
            wide = cls[512]()
            wide.setup(**{name: 257})
            for i in range(600):
                wide.update(*row_of(cls, 10.0 + i % 5, 1.0))


class _Owner(Struct):
    narrow: ind.Bollinger[8]  # type: ignore[type-arg]
    wide: ind.Ichimoku
    recursive: ind.Ema


def test_a_window_below_the_default_period_is_found() -> None:
    owner = _Owner()
    with pytest.raises(
        BadInputError, match=r"^Mine\.narrow\.deviation: period 20 does not fit its window of 8;"
    ):
        ind.check_windows(owner, "Mine")
    owner.narrow.setup(8)
    ind.check_windows(owner, "Mine")


# --- documentation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_the_table_in_the_docs_states_calls_and_outputs(cls: Any) -> None:
    text = (Path(__file__).parents[3] / "docs" / "indicators.md").read_text(encoding="utf-8")
    row = next(
        line for line in text.splitlines() if line.startswith("| `") and f"`{cls.__name__}`" in line[:24]
    )
    _, _, setup, update, outputs, *_ = (cell.strip() for cell in row.split("|"))
    defaults = {n: p.default for n, p in inspect.signature(cls.setup).parameters.items() if n != "self"}
    assert setup.strip("`") == ", ".join(f"{n}={v}" for n, v in defaults.items())
    takes = [
        str(p).replace(" = ", "=") for n, p in inspect.signature(cls.update).parameters.items() if n != "self"
    ]
    assert update.strip("`") == ", ".join(takes)
    for name in re.findall(r"`(\w+)`", outputs):
        assert hasattr(cls(), name)


# --- bars -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [c for c in CLASSES if hasattr(c, "update_bar")])
def test_update_bar_takes_the_fields_of_a_bar(cls: Any) -> None:
    from sigma_bot.engine.types import Bar

    by_bar, by_value = cls(), cls()
    for i in range(80):
        fields = {"high": 12.0 + i % 9, "low": 8.0 - i % 4, "close": 10.0 + i % 5, "volume": 2.0 + i % 3}
        fields["ts"] = i * 3_600_000_000_000
        names = list(inspect.signature(cls.update).parameters)[1:]
        assert by_bar.update_bar(Bar(**fields)) == by_value.update(*(fields[n] for n in names))


def test_bars_are_taken_by_all_that_need_more_than_a_price() -> None:
    needs = [c for c in CLASSES if {"high", "volume"} & set(inspect.signature(c.update).parameters)]  # type: ignore[attr-defined]
    assert len(needs) == 11
    assert all(hasattr(c, "update_bar") for c in needs)


# --- exactness ------------------------------------------------------------------------------------------

PRICES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=120)
PERIODS = st.integers(1, 30)


@settings(max_examples=60, deadline=None)
@given(PRICES, PERIODS)
def test_sma_is_the_exact_mean(prices: list[float], n: int) -> None:
    sma = made(ind.Sma, n)
    for i, x in enumerate(prices):
        held = [Fraction(v) for v in prices[max(0, i - n + 1) : i + 1]]
        scale = max(prices[max(0, i - 2 * n) : i + 1])  # the anchor may be a value that has just left
        assert abs(Fraction(sma.update(x)) - sum(held) / len(held)) <= 1e-14 * scale


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=120), PERIODS)
def test_sma_of_cents(cents: list[int], n: int) -> None:
    """Decimal prices within a factor of two, as real ones are: correct to 1e-15."""
    prices = [(10_000_000 + c) / 100 for c in cents]
    sma = made(ind.Sma, n)
    for i, x in enumerate(prices):
        held = [Fraction(v) for v in prices[max(0, i - n + 1) : i + 1]]
        exact = sum(held) / len(held)
        assert abs(Fraction(sma.update(x)) - exact) <= exact * Fraction(1, 10**15)


@settings(max_examples=60, deadline=None)
@given(PRICES, PERIODS)
def test_donchian_is_the_window_itself(prices: list[float], n: int) -> None:
    channel = made(ind.Donchian, n)
    for i, x in enumerate(prices):
        channel.update(x, x / 2)
        held = prices[max(0, i - n + 1) : i + 1]
        assert (channel.upper, channel.lower) == (max(held), min(held) / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=80), PERIODS, st.sampled_from([0.0, 60_000.0, 1e9]))
def test_deviation_of_small_moves_at_any_price(steps: list[int], n: int, base: float) -> None:
    """Cents at 60,000 and at 1e9. pstdev computes with exact fractions."""
    prices = [base + s * 0.01 for s in steps]
    deviation = made(ind.StdDev, n)
    for i, x in enumerate(prices):
        exact = statistics.pstdev(prices[max(0, i - n + 1) : i + 1])
        assert deviation.update(x) == pytest.approx(exact, rel=1e-12, abs=0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=80), PERIODS)
def test_weighted_average_and_slope_of_integers(values: list[int], n: int) -> None:
    wma, slope = made(ind.Wma, n), made(ind.Slope, max(n, 2))
    for i, x in enumerate(values):
        held = values[max(0, i - n + 1) : i + 1]
        weights = range(1, len(held) + 1)
        exact = Fraction(sum(w * v for w, v in zip(weights, held, strict=True)), sum(weights))
        assert wma.update(float(x)) == pytest.approx(float(exact), rel=1e-14)
        slope.update(float(x))
        held = values[max(0, i - max(n, 2) + 1) : i + 1]
        if len(held) > 1:
            fit = statistics.linear_regression(range(len(held)), held)
            assert slope.value == pytest.approx(fit.slope, rel=1e-11, abs=1e-10)
            assert slope.end == pytest.approx(
                fit.intercept + fit.slope * (len(held) - 1), rel=1e-11, abs=1e-9
            )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=80), PERIODS)
def test_correlation_stays_in_bounds_and_is_right(pairs: list[tuple[int, int]], n: int) -> None:
    n = max(n, 2)
    indicator = made(ind.Correlation, n)
    for i, (x, y) in enumerate(pairs):
        got = indicator.update(1e5 + x, 1e-3 * y)
        xs, ys = zip(*pairs[max(0, i - n + 1) : i + 1], strict=True)
        assert -1.0 <= got <= 1.0
        flat = len(set(xs)) == 1 or len(set(ys)) == 1
        assert got == (0.0 if flat else pytest.approx(statistics.correlation(xs, ys), rel=1e-9, abs=1e-9))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1e9), min_size=1, max_size=90), PERIODS)
def test_a_huge_value_is_forgotten(values: list[float], n: int) -> None:
    """One value of 1e300 spoils nothing once it has left and the ring has turned: no error is carried on."""
    spoilt, clean = made(ind.Sma, n), made(ind.Sma, n)
    for x in [1.0, 1e300, *[2.0] * (2 * n)]:
        spoilt.update(x)
    for x in [1.0, 1.0, *[2.0] * (2 * n)]:
        clean.update(x)
    for x in values:
        assert spoilt.update(x) == clean.update(x)


@settings(max_examples=60, deadline=None)
@given(PRICES, PERIODS)
def test_rsi_and_stochastic_stay_within_their_bounds(prices: list[float], n: int) -> None:
    rsi, stochastic, mfi = made(ind.Rsi, n), made(ind.Stochastic, n, 3, 3), made(ind.Mfi, n)
    for x in prices:
        assert 0.0 <= rsi.update(x) <= 100.0
        assert -1e-9 <= stochastic.update(x * 1.01, x * 0.99, x) <= 100.0 + 1e-9
        assert 0.0 <= stochastic.fast_k <= 100.0
        assert 0.0 <= mfi.update(x * 1.01, x * 0.99, x, 1.5) <= 100.0
