from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot import Strategy, param
from sigma_bot.backtest.sweep_space import Axis, combination, drawn, grid, parse_axis, parse_space
from sigma_bot.errors import BadInputError


class Space(Strategy):
    fast: int = param(3, ge=1, le=50)
    slow: int = param(8)
    size: float = param(0.5)
    keen: bool = param(False)
    state: int


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fast=5:50:15", (5, 20, 35, 50)),
        ("fast=5:49:15", (5, 20, 35)),
        ("fast=2:4", (2, 3, 4)),
        ("fast=7", (7,)),
        ("fast= 1, 2 ,4", (1, 2, 4)),
        ("fast=-2:2:2", (-2, 0, 2)),
        ("size=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("size=1,2.5", (1.0, 2.5)),
        ("keen=true,false", (True, False)),
    ],
)
def test_texts_become_values_of_the_declared_type(text: str, values: tuple[object, ...]) -> None:
    found = parse_axis(Space, text).values
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast", "write NAME=FIRST:LAST:STEP"),
        ("fast=", "write NAME=FIRST:LAST:STEP"),
        ("=1,2", "write NAME=FIRST:LAST:STEP"),
        ("fsat=1,2", "no parameter 'fsat'; did you mean 'fast'?"),
        ("state=1,2", "no parameter 'state'"),
        ("fast=1:2:3:4", "write NAME=FIRST:LAST:STEP"),
        ("fast=1:x", "'x' is no number"),
        ("fast=1,,2", "'' is no number"),
        ("fast=nan", "'nan' is no number"),
        ("size=inf", "'inf' is no number"),
        ("fast=5:1", "the last value 1 lies below the first 5"),
        ("fast=1:5:0", "the step must be above 0, got 0"),
        ("fast=5:1:-1", "the step must be above 0, got -1"),
        ("fast=1:5:0.5", "must be whole numbers, got 1.5"),
        ("fast=1.5", "must be whole numbers, got 1.5"),
        ("size=0.1:0.5", "a step is missing"),
        ("fast=1,1", "a value stands twice"),
        ("keen=1:2", "must be true or false, got '1:2'"),
        ("size=0:1:0.00001", "100,001 values are too many"),
    ],
)
def test_bad_texts_name_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_axis(Space, text)
    assert f"--param {text}: " in str(caught.value)
    assert says in str(caught.value)


def test_no_parameter_and_one_twice() -> None:
    with pytest.raises(BadInputError, match="--param is missing"):
        parse_space(Space, [])
    with pytest.raises(BadInputError, match="fast stands twice"):
        parse_space(Space, ["fast=1,2", "slow=1", "fast=3"])


def test_a_grid_too_large_says_what_to_do() -> None:
    axes = parse_space(Space, ["fast=1:1000", "slow=1:101"])
    with pytest.raises(BadInputError, match=r"101,000 combinations \(1000 x 101\).*--trials"):
        grid(axes, None)
    assert len(grid(axes, 101_000)) == 101_000
    with pytest.raises(BadInputError, match="more than 50"):
        grid(axes[:1], 50)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def axes_of(shape: list[int]) -> tuple[Axis, ...]:
    return tuple(Axis(f"p{i}", tuple(range(n)), "") for i, n in enumerate(shape))


@given(shapes)
def test_a_place_in_the_grid_is_its_combination(shape: list[int]) -> None:
    axes = axes_of(shape)
    assert [combination(axes, i) for i in range(len(grid(axes, None)))] == grid(axes, None)


@given(shapes, st.integers(1, 700), st.integers(0, 9))
def test_draws_are_different_seeded_and_of_the_grid(shape: list[int], trials: int, seed: int) -> None:
    axes = axes_of(shape)
    whole = [tuple(c.values()) for c in grid(axes, None)]
    found = [tuple(c.values()) for c in drawn(axes, trials, seed)]
    assert len(found) == len(set(found)) == min(trials, len(whole))
    assert set(found) <= set(whole)
    assert found == [tuple(c.values()) for c in drawn(axes, trials, seed)]


def test_another_seed_draws_others() -> None:
    axes = axes_of([5, 5, 5, 5])
    assert drawn(axes, 20, 1) != drawn(axes, 20, 2)
