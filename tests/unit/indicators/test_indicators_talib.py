"""Every indicator TA-Lib has, on real bars: same values from the same first bar on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import talib

from sigma_bot import indicators as ind
from tests.unit.indicators.indicator_series import Columns, feed, made

HLC = ("high", "low", "close")


@dataclass(frozen=True)
class Case:
    """One comparison. ``warmup`` is the number of rows after which the indicator says it is ready.

    ``rtol`` is relative to the reference value; ``atol`` is relative to the largest price, for differences of
    prices, whose own rounding is in proportion to the price and not to the difference.
    """

    name: str
    make: Callable[[], Any]
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    reference: Callable[[Columns], Any]
    warmup: int
    rtol: float = 1e-13
    atol: float = 0.0


def hlc(b: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return b["high"], b["low"], b["close"]


def one(
    cls: Any, args: tuple[Any, ...], reference: Callable[[Columns], Any], warmup: int, **tolerance: float
) -> Case:
    name = cls.__name__.lower() + "".join(f"-{a}" for a in args)
    return Case(name, lambda: made(cls, *args), ("close",), ("value",), reference, warmup, **tolerance)


def bar(
    cls: Any,
    args: tuple[Any, ...],
    outputs: tuple[str, ...],
    reference: Callable[[Columns], Any],
    warmup: int,
    columns: tuple[str, ...] = HLC,
    **tolerance: float,
) -> Case:
    name = cls.__name__.lower() + "".join(f"-{a}" for a in args)
    return Case(name, lambda: made(cls, *args), columns, outputs, reference, warmup, **tolerance)


BANDS = ("upper", "middle", "lower")
CASES = [
    one(ind.Sma, (20,), lambda b: talib.SMA(b["close"], 20), 20),
    one(ind.Sma, (200,), lambda b: talib.SMA(b["close"], 200), 200),
    one(ind.Ema, (20,), lambda b: talib.EMA(b["close"], 20), 20, rtol=1e-15),
    one(ind.Ema, (150,), lambda b: talib.EMA(b["close"], 150), 150, rtol=1e-15),
    one(ind.Rma, (14,), lambda b: talib.RMA(b["close"], 14), 14),
    one(ind.Wma, (20,), lambda b: talib.WMA(b["close"], 20), 20),
    one(ind.Hma, (16,), lambda b: talib.HMA(b["close"], 16), 19, rtol=1e-12),
    one(ind.Hma, (21,), lambda b: talib.HMA(b["close"], 21), 24, rtol=1e-12),
    one(ind.Kama, (10,), lambda b: talib.KAMA(b["close"], 10), 11),
    one(ind.Rsi, (14,), lambda b: talib.RSI(b["close"], 14), 15),
    one(ind.Roc, (10,), lambda b: talib.ROC(b["close"], 10), 11, rtol=1e-13, atol=1e-15),
    # TA-Lib subtracts the square of the mean from the mean square: about (price / deviation)^2 roundings
    one(ind.StdDev, (20,), lambda b: talib.STDDEV(b["close"], 20), 20, rtol=1e-9),
    one(ind.Slope, (14,), lambda b: talib.LINEARREG_SLOPE(b["close"], 14), 14, atol=1e-13),
    bar(ind.Slope, (14,), ("end",), lambda b: [talib.LINEARREG(b["close"], 14)], 14, ("close",), rtol=1e-12),
    # differences of two averages: rounding in proportion to the price
    bar(
        ind.Macd,
        (12, 26, 9),
        ("value", "signal", "histogram"),
        lambda b: talib.MACD(b["close"], 12, 26, 9),
        34,
        ("close",),
        atol=1e-15,
    ),
    bar(
        ind.Bollinger,
        (20, 2.0),
        BANDS,
        lambda b: talib.BBANDS(b["close"], 20, 2.0, 2.0),
        20,
        ("close",),
        rtol=1e-9,
    ),
    bar(ind.Atr, (14,), ("value",), lambda b: [talib.ATR(*hlc(b), 14)], 15),
    bar(ind.Adx, (14,), ("value",), lambda b: [talib.ADX(*hlc(b), 14)], 28),
    bar(
        ind.Stochastic,
        (14, 3, 3),
        ("k", "d"),
        lambda b: talib.STOCH(*hlc(b), 14, 3, 0, 3, 0),  # type: ignore[arg-type]
        18,
        atol=1e-12,
    ),
    bar(ind.Stochastic, (14, 1, 3), ("k", "d"), lambda b: talib.STOCHF(*hlc(b), 14, 3, 0), 16, atol=1e-12),  # type: ignore[arg-type]
    bar(ind.Cci, (20,), ("value",), lambda b: [talib.CCI(*hlc(b), 20)], 20, rtol=1e-9),
    bar(ind.Donchian, (20,), BANDS, lambda b: talib.DONCHIAN(b["high"], b["low"], 20), 20, HLC[:2], rtol=0.0),
    bar(
        ind.Supertrend,
        (10, 3.0),
        ("value", "direction"),
        lambda b: talib.SUPERTREND(*hlc(b), 10, 3.0),
        11,
    ),
    bar(
        ind.Keltner,
        (20, 10, 2.0),
        BANDS,
        lambda b: [talib.EMA(b["close"], 20) + k * talib.ATR(*hlc(b), 10) for k in (2.0, 0.0, -2.0)],
        20,
    ),
    bar(
        ind.Mfi,
        (14,),
        ("value",),
        lambda b: [talib.MFI(*hlc(b), b["volume"], 14)],
        15,
        (*HLC, "volume"),
        rtol=1e-12,
    ),
    bar(
        ind.Obv,
        (),
        ("value",),
        lambda b: [talib.OBV(b["close"], b["volume"])],
        1,
        ("close", "volume"),
        rtol=1e-14,
    ),
    bar(ind.Vwap, (), ("value",), lambda b: [talib.VWAP(*hlc(b), b["volume"])], 1, (*HLC, "volume")),
    bar(
        ind.Vwap,
        (30,),
        ("value",),
        lambda b: [talib.VWMA((b["high"] + b["low"] + b["close"]) / 3, b["volume"], 30)],
        30,
        (*HLC, "volume"),
    ),
    # TA-Lib's sums of squares lose digits on volumes of 1e9
    bar(
        ind.Correlation,
        (20,),
        ("value",),
        lambda b: [talib.CORREL(b["high"], b["volume"], 20)],
        20,
        ("high", "volume"),
        rtol=0.0,
        atol=1e-9,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_talib(case: Case, bars: Columns) -> None:
    got = feed(case.make(), [bars[name] for name in case.columns], case.outputs)
    assert int(np.argmax(got["ready"])) + 1 == case.warmup
    assert got["ready"][case.warmup - 1 :].all()
    reference = case.reference(bars)
    if len(case.outputs) == 1 and isinstance(reference, np.ndarray):
        reference = [reference]
    scale = 1.0 if case.outputs == ("k", "d") or "volume" in case.columns else bars["high"].max()
    for name, expected in zip(case.outputs, reference, strict=True):
        settled = np.asarray(expected, float)[case.warmup - 1 :]
        assert not np.isnan(settled).any()
        np.testing.assert_allclose(
            got[name][case.warmup - 1 :], settled, rtol=case.rtol, atol=case.atol * scale, err_msg=name
        )


@pytest.mark.parametrize(("cls", "function", "warmup"), [(ind.Sma, talib.SMA, 20), (ind.Ema, talib.EMA, 20)])
def test_talib_starts_at_the_same_bar(cls: Any, function: Any, warmup: int, bars: Columns) -> None:
    assert np.isnan(function(bars["close"], 20)).sum() == warmup - 1


def test_directional_indicators_from_their_own_first_bar(bars: Columns) -> None:
    """The DI are settled 14 bars before the ADX; all three agree to the last bit."""
    got = feed(made(ind.Adx, 14), [bars[name] for name in HLC], ("plus_di", "minus_di", "value"))
    for name, function, first in (
        ("plus_di", talib.PLUS_DI, 14),
        ("minus_di", talib.MINUS_DI, 14),
        ("value", talib.ADX, 27),
    ):
        expected = function(*hlc(bars), 14)
        assert int(np.argmax(~np.isnan(expected))) == first
        np.testing.assert_array_equal(got[name][first:], expected[first:])


def test_macd_differs_from_separate_averages_only_by_the_seed(bars: Columns) -> None:
    """Both seeds fade: after 400 bars the MACD is the plain difference of two averages."""
    close = [bars["close"]]
    macd = feed(made(ind.Macd), close, ("value",))["value"]
    fast = feed(made(ind.Ema, 12), close, ("value",))["value"]
    slow = feed(made(ind.Ema, 26), close, ("value",))["value"]
    np.testing.assert_allclose(macd[400:], (fast - slow)[400:], rtol=0.0, atol=1e-13 * bars["close"].max())


def test_fast_k_to_the_last_bit(bars: Columns) -> None:
    got = feed(made(ind.Stochastic, 14, 1, 3), [bars[name] for name in HLC], ("fast_k",))["fast_k"]
    np.testing.assert_array_equal(got[15:], talib.STOCHF(*hlc(bars), 14, 3, 0)[0][15:])  # type: ignore[arg-type]
