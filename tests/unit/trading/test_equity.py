"""The equity curve has a bounded rate and each day's end."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.model.orders import EquityPoint
from sigma_bot.runtime.equity import EquitySampler
from sigma_bot.times import DAY, HOUR, MINUTE, SECOND

SEOUL = 9 * HOUR
START = 20_000 * DAY - SEOUL  # midnight in Seoul


def broker(ts: int, equity: float = 1000.125, row: int = 0) -> Any:
    """A broker as far as it matters: cash 900.5 and two markets."""
    markets = [SimpleNamespace(qty=qty, mid=50.0) for qty in (3.0, -1.0)]
    return SimpleNamespace(
        ts=ts, equity=equity, cash_quanta=90_050, n_markets=2, markets=markets, row=row,
        risk=SimpleNamespace(day_offset=SEOUL),
    )  # fmt: skip


def sampled(steps: Iterable[int], since: int = 0) -> list[EquityPoint]:
    """The points of steps at these times; equity is the number of the step."""
    sampler = EquitySampler(since, 2)
    return [p for n, ts in enumerate(steps) for p in sampler.sample(broker(ts, float(n)))]


def test_a_point_is_what_the_account_is_worth() -> None:
    [point] = EquitySampler(0, 2).sample(broker(START))
    assert point == EquityPoint(START, Decimal("1000.12"), Decimal("900.50"), Decimal("200.00"))


def test_nothing_is_worth_anything_before_the_first_tick() -> None:
    assert EquitySampler(0, 2).sample(broker(START, row=-1)) == []


def test_one_a_minute() -> None:
    steps = range(START, START + 10 * MINUTE, 5 * SECOND)
    assert [point.ts for point in sampled(steps)] == list(range(START, START + 10 * MINUTE, MINUTE))


def test_a_session_that_goes_on_has_the_point_of_its_minute() -> None:
    steps = [START + 5 * SECOND, START + 59 * SECOND, START + 61 * SECOND]
    assert [point.ts for point in sampled(steps, since=START)] == [START + 61 * SECOND]


@pytest.mark.parametrize("before", [7 * SECOND, 59 * SECOND])
def test_a_day_ends_with_the_last_step_before_it(before: int) -> None:
    steps = [START - MINUTE, START - before, START + 3 * SECOND]
    assert [(p.ts, p.equity) for p in sampled(steps)] == [
        (steps[0], Decimal(0)),
        (steps[1], Decimal(1)),
        (steps[2], Decimal(2)),
    ]


def test_a_day_whose_last_step_is_stored_has_no_other() -> None:
    steps = [START - MINUTE, START + 3 * SECOND, START + 4 * SECOND]
    assert [point.ts for point in sampled(steps)] == steps[:2]


@given(st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=60))
def test_whatever_the_steps(offsets: list[int]) -> None:
    steps = sorted({START + offset for offset in offsets})
    points = [point.ts for point in sampled(steps)]
    assert points == sorted(set(points))
    minutes = [ts // MINUTE for ts in points]
    ends = {
        max(ts for ts in steps if (ts + SEOUL) // DAY == day) for day in {(ts + SEOUL) // DAY for ts in steps}
    }
    for minute in set(minutes):
        here = [ts for ts in points if ts // MINUTE == minute]
        assert here[0] == min(ts for ts in steps if ts // MINUTE == minute)
        assert set(here[1:]) <= ends
    assert {ts // MINUTE for ts in steps} == set(minutes)
    assert ends - {steps[-1]} <= set(points)
