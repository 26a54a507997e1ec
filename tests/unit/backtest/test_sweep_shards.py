"""A sweep in parts gives what one process gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.backtest.sweep import Plan, TrialResult
from sigma_bot.backtest.sweep_shards import Shard, merged
from sigma_bot.backtest.sweep_space import Axis
from sigma_bot.cli.main import run
from sigma_bot.errors import BadInputError
from tests.unit.backtest.sweep_world import write

SPACE = ("--param", "fast=2:12", "--param", "slow=5,9,14")


@pytest.fixture
def sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    write(tmp_path)

    def command(*arguments: str, code: int = 0) -> str:
        database = ("--db", f"sqlite:///{tmp_path / 'runs.db'}")
        assert run(["sweep", str(tmp_path / "backtest.yaml"), *SPACE, *database, *arguments]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return command


def timeless(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    for name in ("seconds", "rows_per_second"):
        del document[name]
    return document


@pytest.mark.parametrize("plan", [(), ("--sampler", "random", "--trials", "20", "--seed", "4")])
def test_parts_joined_are_the_whole(sweep: Any, plan: tuple[str, ...]) -> None:
    whole = timeless(sweep(*plan, "--no-store", "--output", "json"))
    assert whole["invalid"] > 0
    for part in ("3/3", "1/3", "2/3"):
        assert sweep(*plan, "--shard", part).startswith("stored: ")
    assert timeless(sweep(*plan, "--merge", "3", "--output", "json")) == whole


def test_a_part_that_is_stored_is_not_run_again(sweep: Any) -> None:
    sweep("--shard", "1/2")
    assert sweep("--shard", "1/2").startswith("stored before: ")
    assert sweep("--shard", "1/3").startswith("stored: "), "another part"
    assert sweep("--shard", "1/2", "--set", "keen=true").startswith("stored: "), "another sweep"


def test_a_part_that_misses_is_named(sweep: Any) -> None:
    sweep("--shard", "1/2")
    assert "--shard 2/2" in sweep("--merge", "2", code=2)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/1001", "-1/2"])
def test_what_is_no_part(sweep: Any, text: str) -> None:
    assert "like 2/8" in sweep("--shard", text, code=2)


def test_a_sampler_that_learns_has_no_parts(sweep: Any) -> None:
    assert "tpe" in sweep("--shard", "1/2", "--sampler", "tpe", code=2)


def test_every_combination_is_in_one_part() -> None:
    chosen = [{"a": i} for i in range(10)]
    shares = [Shard(i, 4).share(chosen) for i in range(1, 5)]  # type: ignore[arg-type]
    assert sorted(number for share in shares for number, _ in share) == list(range(10))
    plan = Plan((Axis("a", tuple(range(10)), "a=0:9"),))
    outcomes = [[TrialResult(number, params) for number, params in share] for share in shares]
    assert [outcome.params for outcome in merged(plan, outcomes)] == chosen
    with pytest.raises(BadInputError, match="run all of them"):
        merged(plan, outcomes[1:])
