from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sigma_bot.decimals import fixed_point
from sigma_bot.spec.units import (
    UNITS,
    Amount,
    Duration,
    Fraction,
    Instant,
    Rebate,
    UtcOffset,
    parse_duration,
)

amounts = st.builds(
    lambda n, e: fixed_point(Decimal(n).scaleb(-e)), st.integers(0, 10**17), st.integers(0, 12)
)


@given(amounts)
def test_an_amount_is_written_as_it_was_read(text: str) -> None:
    adapter = TypeAdapter(Amount)
    value = adapter.validate_python(text)
    assert value == Decimal(text)
    assert adapter.dump_python(value, mode="json") == text


@given(st.floats() | st.integers() | st.booleans() | st.none())
def test_an_amount_is_never_taken_from_a_number(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Amount).validate_python(value)


@given(st.text(alphabet="0123456789.-+eE_, %", max_size=12))
def test_only_plain_decimals_are_amounts(text: str) -> None:
    """Whatever is accepted means what it says to a reader, and is written back unchanged."""
    adapter = TypeAdapter(Amount)
    try:
        value = adapter.validate_python(text)
    except ValidationError:
        return
    assert set(text) <= set("0123456789.-")
    assert adapter.dump_python(value, mode="json") == text


def test_bounds() -> None:
    assert TypeAdapter(Fraction).validate_python("1") == 1
    assert TypeAdapter(Rebate).validate_python("-0.0001") == Decimal("-0.0001")
    for bad in ("-0.1", "1.1"):
        with pytest.raises(ValidationError):
            TypeAdapter(Fraction).validate_python(bad)


@given(st.integers(0, 1000), st.sampled_from(sorted(UNITS)))
def test_durations(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == number * UNITS[unit]
    assert Duration(f"{number}{unit}").ns == number * UNITS[unit]


@pytest.mark.parametrize("text", ["", "5", "ms", "1.5s", "-1s", " 1s", "1 s", "1M", "01s", "1h30m", "36501d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_a_date_is_a_day_in_utc_and_its_end_is_the_next() -> None:
    day = Instant("2024-02-28")
    assert day.ns == int(datetime(2024, 2, 28, tzinfo=UTC).timestamp()) * 10**9
    assert day.end_ns - day.ns == 86_400 * 10**9


def test_an_instant_has_microseconds_and_an_offset() -> None:
    seoul, utc = Instant("2024-01-01T09:00:00.000001+09:00"), Instant("2024-01-01T00:00:00.000001Z")
    assert seoul.ns == utc.ns == utc.end_ns == 1_704_067_200_000_001_000


def test_offsets() -> None:
    assert UtcOffset("+09:00").ns == 9 * 3600 * 10**9
    assert UtcOffset("-03:30").ns == -12_600 * 10**9
