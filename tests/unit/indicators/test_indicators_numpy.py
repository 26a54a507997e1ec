"""Against whole-column NumPy and pandas code written here, and against values published with LEAN's tests."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sigma_bot import indicators as ind
from tests.unit.indicators.indicator_series import Columns, feed, made, padded, windows

HOUR = 3_600_000_000_000


def middle_of_range(bars: Columns, n: int) -> np.ndarray:
    top = padded(windows(bars["high"], n).max(axis=1), n)
    return (top + padded(windows(bars["low"], n).min(axis=1), n)) / 2


def wma(x: np.ndarray, n: int) -> np.ndarray:
    """Weighted mean of every window by one matrix product with exact integer weights."""
    return padded(windows(x, n) @ np.arange(1, n + 1) / (n * (n + 1) / 2), n)


def test_hma(bars: Columns) -> None:
    got = feed(made(ind.Hma, 30), [bars["close"]], ("value",))
    raw = 2 * wma(bars["close"], 15) - wma(bars["close"], 30)
    expected = np.concatenate([np.full(29, np.nan), wma(raw[29:], 5)])
    assert int(np.argmax(got["ready"])) == 33 == int(np.argmax(~np.isnan(expected)))
    np.testing.assert_allclose(got["value"][33:], expected[33:], rtol=1e-12)


def test_deviation_and_score(bars: Columns) -> None:
    """Two-pass deviations of whole windows keep nearly all digits, so the agreement is close."""
    close = bars["close"]
    view = windows(close, 25)
    mean = view.mean(axis=1)
    deviation = np.sqrt(((view - mean[:, None]) ** 2).mean(axis=1))
    got = feed(made(ind.StdDev, 25), [close], ("value", "mean"))
    np.testing.assert_allclose(got["value"][24:], deviation, rtol=1e-12)
    np.testing.assert_allclose(got["mean"][24:], mean, rtol=1e-14)
    score = feed(made(ind.ZScore, 25), [close], ("value",))
    expected = (close[24:] - mean) / deviation
    np.testing.assert_allclose(score["value"][24:], expected, rtol=1e-11, atol=1e-11)
    assert int(np.argmax(score["ready"])) == 24


def test_slope_against_polyfit(bars: Columns) -> None:
    """The window's first value is taken off before the fit: the slope of a distant line has fewer digits."""
    view = windows(bars["close"], 14)
    expected = np.polyfit(np.arange(14.0), (view - view[:, :1]).T, 1)[0]
    got = feed(made(ind.Slope, 14), [bars["close"]], ("value",))["value"][13:]
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-14 * bars["close"].max())


def test_correlation_against_two_passes(bars: Columns) -> None:
    x, y = windows(bars["close"], 30), windows(bars["volume"], 30)
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    expected = (dx * dy).sum(axis=1) / np.sqrt((dx**2).sum(axis=1) * (dy**2).sum(axis=1))
    got = feed(made(ind.Correlation, 30), [bars["close"], bars["volume"]], ("value",))
    np.testing.assert_allclose(got["value"][29:], expected, rtol=0.0, atol=1e-13)
    assert int(np.argmax(got["ready"])) == 29


def test_channels_are_exact(bars: Columns) -> None:
    got = feed(made(ind.Donchian, 55), [bars["high"], bars["low"]], ("upper", "middle", "lower"))
    top, bottom = windows(bars["high"], 55).max(axis=1), windows(bars["low"], 55).min(axis=1)
    np.testing.assert_array_equal(got["upper"][54:], top)
    np.testing.assert_array_equal(got["lower"][54:], bottom)
    np.testing.assert_array_equal(got["middle"][54:], (top + bottom) / 2)
    assert int(np.argmax(got["ready"])) == 54


def test_ichimoku(bars: Columns) -> None:
    names = ("conversion", "base", "lead_a", "lead_b", "span_a", "span_b", "past_close")
    got = feed(made(ind.Ichimoku, 9, 26, 52, 26), [bars[k] for k in ("high", "low", "close")], names)
    conversion, base = middle_of_range(bars, 9), middle_of_range(bars, 26)
    lead_a, lead_b = (conversion + base) / 2, middle_of_range(bars, 52)
    span_a, span_b = (pd.Series(x).shift(26).to_numpy() for x in (lead_a, lead_b))
    past = pd.Series(bars["close"]).shift(26).to_numpy()
    first = 52 + 26 - 1
    assert int(np.argmax(got["ready"])) == first == int(np.argmax(~np.isnan(span_b)))
    for name, expected in zip(names, (conversion, base, lead_a, lead_b, span_a, span_b, past), strict=True):
        np.testing.assert_array_equal(got[name][first:], expected[first:], err_msg=name)


def test_supertrend_by_the_published_rule(bars: Columns) -> None:
    """Bands as columns, the ratchet as the rule states it, the side from crossings of the opposite band."""
    high, low, close = (pd.Series(bars[k]) for k in ("high", "low", "close"))
    before = close.shift(1)
    true_range = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
    atr = true_range.to_numpy().copy()
    atr[:11] = np.nan
    atr[10] = true_range[1:11].mean()
    for i in range(11, len(atr)):
        atr[i] = atr[i - 1] + (true_range[i] - atr[i - 1]) / 10
    raw_upper, raw_lower = (high + low) / 2 + 3 * atr, (high + low) / 2 - 3 * atr
    upper, lower = raw_upper.to_numpy().copy(), raw_lower.to_numpy().copy()
    side = np.zeros(len(close), int)
    side[10] = 1 if close[10] >= lower[10] else -1
    for i in range(11, len(close)):
        upper[i] = raw_upper[i] if close[i - 1] > upper[i - 1] else min(raw_upper[i], upper[i - 1])
        lower[i] = raw_lower[i] if close[i - 1] < lower[i - 1] else max(raw_lower[i], lower[i - 1])
        side[i] = (
            (1 if close[i] >= lower[i] else -1) if side[i - 1] == 1 else (1 if close[i] > upper[i] else -1)
        )
    got = feed(
        made(ind.Supertrend, 10, 3.0), [bars[k] for k in ("high", "low", "close")], ("value", "direction")
    )
    np.testing.assert_array_equal(got["direction"][10:], side[10:])
    np.testing.assert_allclose(got["value"][10:], np.where(side == 1, lower, upper)[10:], rtol=1e-12)
    assert {-1, 1} <= set(side[10:].tolist())


@pytest.mark.parametrize("offset", [0, 9 * HOUR, -5 * HOUR])
def test_session_vwap(bars: Columns, offset: int) -> None:
    """Restarts at midnight of the shifted day. Daily bars are squeezed to six an (invented) day."""
    ts = bars["ts"][0] + np.arange(len(bars["ts"])) * 4 * HOUR
    price = (bars["high"] + bars["low"] + bars["close"]) / 3
    frame = pd.DataFrame(
        {"day": (ts + offset) // (24 * HOUR), "pv": price * bars["volume"], "v": bars["volume"]}
    )
    sums = frame.groupby("day").cumsum()
    got = feed(
        made(ind.Vwap, 0, offset), [bars[k] for k in ("high", "low", "close", "volume")] + [ts], ("value",)
    )
    np.testing.assert_allclose(got["value"], (sums["pv"] / sums["v"]).to_numpy(), rtol=1e-13)
    assert frame["day"].nunique() > 100


def test_rolling_vwap(bars: Columns) -> None:
    price = (bars["high"] + bars["low"] + bars["close"]) / 3
    money = windows(price * bars["volume"], 50).sum(axis=1)
    got = feed(made(ind.Vwap, 50), [bars[k] for k in ("high", "low", "close", "volume")], ("value",))
    np.testing.assert_allclose(got["value"][49:], money / windows(bars["volume"], 50).sum(axis=1), rtol=1e-13)
    assert int(np.argmax(got["ready"])) == 49


def test_kama_with_other_lengths(bars: Columns) -> None:
    close = pd.Series(bars["close"])
    way, path = close.diff(15).abs(), close.diff().abs().rolling(15).sum()
    factor = ((way / path) * (2 / 4 - 2 / 21) + 2 / 21) ** 2
    expected = close.to_numpy().copy()
    for i in range(15, len(close)):
        expected[i] = expected[i - 1] + factor[i] * (close[i] - expected[i - 1])
    got = feed(made(ind.Kama, 15, 3, 20), [bars["close"]], ("value",))
    np.testing.assert_allclose(got["value"], expected, rtol=1e-11)
    assert int(np.argmax(got["ready"])) == 15


# --- published values ---------------------------------------------------------------------------------


def published(folder: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(folder / "reference" / "lean_indicator_vectors.zip") as archive:
        rows = list(csv.reader(io.StringIO(archive.read(name).decode("utf-8"))))
    frame = pd.DataFrame(rows[1:], columns=[name.strip() for name in rows[0]])
    return frame.iloc[:, 1:].apply(pd.to_numeric)


PUBLISHED = [
    ("spy_with_indicators.txt", "SMA14", (ind.Sma, 14), "value", 0.006),
    ("spy_with_indicators.txt", "EMA14", (ind.Ema, 14), "value", 0.006),
    ("spy_with_indicators.txt", "RSI 14 Wilder", (ind.Rsi, 14), "value", 6e-6),
    ("spy_bollinger_bands.txt", "Moving Average 20", (ind.Bollinger, 20, 2.0), "middle", 7e-5),
    ("spy_bollinger_bands.txt", "Bollinger Bands® 20 2 Top", (ind.Bollinger, 20, 2.0), "upper", 7e-5),
    ("spy_bollinger_bands.txt", "Bollinger Bands® 20 2 Bottom", (ind.Bollinger, 20, 2.0), "lower", 7e-5),
    ("spy_with_macd.txt", "MACD", (ind.Macd,), "value", 6e-6),
    ("spy_with_macd.txt", "Signal", (ind.Macd,), "signal", 6e-6),
    ("spy_with_macd.txt", "Histogram", (ind.Macd,), "histogram", 6e-6),
]


@pytest.mark.parametrize(("file", "column", "call", "output", "half_unit"), PUBLISHED)
def test_lean_vectors(
    shared_data: Path, file: str, column: str, call: tuple[Any, ...], output: str, half_unit: float
) -> None:
    """Allowed: half a unit of the last published digit, and a little for inputs that were rounded too."""
    table = published(shared_data, file)
    got = feed(made(*call), [table["Close"].to_numpy(float)], (output,))
    expected = table[column].to_numpy(float)
    rows = np.flatnonzero(~np.isnan(expected) & got["ready"])
    assert len(rows) > 150
    np.testing.assert_allclose(got[output][rows], expected[rows], rtol=0.0, atol=half_unit)


def test_lean_rolling_vwap(shared_data: Path) -> None:
    """LEAN weights the mean of open, high, low and close: a bar of that one price gives the same mean."""
    table = published(shared_data, "spy_with_vwap.txt")
    price = table[["Open", "High", "Low", "Close"]].to_numpy(float).mean(axis=1)
    got = feed(made(ind.Vwap, 50), [price, price, price, table["Volume"].to_numpy(float)], ("value",))
    expected = table["Moving VWAP 50"].to_numpy(float)
    assert int(np.argmax(got["ready"])) == 49 == int(np.argmax(~np.isnan(expected)))
    np.testing.assert_allclose(got["value"][49:], expected[49:], rtol=0.0, atol=6e-5)
