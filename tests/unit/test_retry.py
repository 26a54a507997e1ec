"""Waits between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.retry import Backoff, retry_for


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_waits_grow_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(0.1, factor=2.0, maximum=0.5)
    assert [backoff.delay(n) for n in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_jitter_is_drawn_between_its_bounds() -> None:
    backoff = Backoff(1.0, factor=3.0, maximum=10.0, jitter=(0.5, 1.5))
    assert [backoff.delay(n, lambda low, _: low) for n in range(4)] == [0.5, 1.5, 4.5, 5.0]
    assert [backoff.delay(n, lambda _, high: high) for n in range(4)] == [1.5, 4.5, 13.5, 15.0]
    assert backoff.delay(1, middle) == 3.0


@given(st.integers(0, 10**12))
def test_any_number_of_failures_has_a_wait(failures: int) -> None:
    assert 0.16 <= Backoff(0.2, maximum=30.0, jitter=(0.8, 1.2)).delay(failures) <= 36.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0.0},
        {"initial": -1.0},
        {"initial": 1.0, "factor": 0.5},
        {"initial": 1.0, "maximum": 0.5},
        {"initial": 1.0, "jitter": (1.5, 0.5)},
        {"initial": 1.0, "jitter": (-0.5, 0.5)},
    ],
)
def test_what_is_no_wait_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no wait"):
        Backoff(**wrong)  # type: ignore[arg-type]


async def test_it_is_asked_again_for_as_long_as_was_said() -> None:
    answers = iter([OSError("first"), ValueError("second")])

    async def ask() -> str:
        error = next(answers, None)
        if error is None:
            return "there"
        raise error

    with pytest.raises(ValueError, match="second"):
        await retry_for(60.0, ask, OSError, 0.0)
    assert await retry_for(60.0, ask, OSError, 0.0) == "there"


async def test_the_last_error_is_raised_when_time_is_over() -> None:
    asked = []

    async def ask() -> None:
        asked.append(1)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await retry_for(0.0, ask, OSError, 0.0)
    assert len(asked) == 1
