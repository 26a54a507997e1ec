"""Times of every notation become the same nanoseconds; what does not say its zone is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from sigma_bot.data.times import rule_for
from sigma_bot.errors import BadInputError

NOON = 1_706_702_400_000_000_000  # 2024-01-31T12:00:00Z
SEOUL = NOON - 9 * 3_600_000_000_000


def nanoseconds(values, timezone=None, kind=None):
    array = pa.array(values, kind)
    return rule_for(array, timezone, "f.csv, column ts").convert(array).tolist()


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-31T12:00:00Z",
        "2024-01-31 12:00:00+00:00",
        "2024-01-31 12:00:00 +00:00",
        "2024-01-31 12:00:00 UTC",
        "2024/01/31 12:00:00Z",
        "2024-01-31T21:00:00+09:00",
        "2024-01-31T21:00:00.000000000+0900",
        "1706702400",
        "1706702400.000",
        "1706702400000",
        "1706702400000000",
        "1706702400000000000",
        1706702400,
        1706702400000,
        1706702400.0,
    ],
)
def test_notations_of_one_instant(value):
    assert nanoseconds([value]) == [NOON]


@pytest.mark.parametrize(
    "value",
    ["2024-01-31 12:00", "2024.01.31 12:00:00", "20240131 120000", "20240131T12:00:00", "31/01/2024 12:00"],
)
def test_naive_times_take_the_zone_given_and_are_refused_without(value):
    assert nanoseconds([value], "UTC") == [NOON]
    assert nanoseconds([value], "Asia/Seoul") == [SEOUL]
    assert nanoseconds([value], "+09:00") == [SEOUL]
    with pytest.raises(BadInputError, match="does not say its time zone"):
        nanoseconds([value])


@pytest.mark.parametrize(
    "value", ["2024-01-31", "20240131", "2024/01/31", "1/31/2024", "31.1.2024", 20240131]
)
def test_dates_are_midnight_utc(value):
    array = pa.array([value])
    rule = rule_for(array, "Asia/Seoul", "f.csv")
    assert rule.dates
    assert rule.convert(array).tolist() == [NOON - 12 * 3_600_000_000_000]


def test_fractions_of_epochs_are_exact():
    assert nanoseconds(["1706702400.123456789"]) == [NOON + 123_456_789]
    assert nanoseconds(["1706702400123.456789"]) == [NOON + 123_456_789]


def test_arrow_timestamps():
    assert nanoseconds([NOON // 1000], kind=pa.timestamp("us", "Asia/Seoul")) == [NOON]
    assert nanoseconds([NOON // 1000], "Asia/Seoul", pa.timestamp("us")) == [SEOUL]
    with pytest.raises(BadInputError, match="time zone"):
        nanoseconds([NOON // 1000], kind=pa.timestamp("us"))


def test_a_date_that_could_be_two_days_is_refused():
    with pytest.raises(BadInputError, match="which number is the day"):
        nanoseconds(["1/2/2024", "3/4/2024"])


def test_an_hour_that_happens_twice_is_refused():
    with pytest.raises(BadInputError, match="clocks change"):
        nanoseconds(["2024-10-27 02:30:00"], "Europe/Berlin")


def test_an_unknown_zone_is_named():
    with pytest.raises(BadInputError, match="Asia/Soul"):
        nanoseconds(["2024-10-27 02:30:00"], "Asia/Soul")


def test_text_that_is_no_time():
    with pytest.raises(BadInputError, match="'yesterday' is no time"):
        nanoseconds(["yesterday"])


SWITCH = [1_735_603_200_000, 1_735_689_600_000_000]  # ms until 2024, us from 2025 on, as an exchange's files


@pytest.mark.parametrize(
    "values",
    [
        SWITCH,
        SWITCH[::-1],
        [float(v) for v in SWITCH],
        [str(v) for v in SWITCH],
        [f"{v}.5" for v in SWITCH],
        ["1735603200", "45658000"],
        [1_735_603_200, 45_658],
    ],
)
def test_an_epoch_of_another_unit_than_the_first_is_refused(values):
    with pytest.raises(pa.ArrowInvalid, match="another unit"):
        nanoseconds(values)


@pytest.mark.parametrize("value", [45_658, 45_658.5, 2024, 0, -45_658, float("nan")])
def test_years_and_day_numbers_are_no_epochs(value):
    with pytest.raises(BadInputError, match="is no time that is understood"):
        nanoseconds([value])
