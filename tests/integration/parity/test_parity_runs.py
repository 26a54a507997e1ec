"""`sigma parity`: SIM bots with restarts, halts and crashes against backtests of their recorded ticks."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import yaml

from sigma_bot.cli.main import run as sigma
from sigma_bot.errors import BadInputError
from sigma_bot.trading import history
from tests.integration.parity.parity_rig import MAKERS, STRATEGIES, Desk, walk


@pytest.mark.parametrize("name", ["cross", "quoter", "market", "bars", "memory"])
async def test_a_run_equals_its_backtest_over_restarts(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    desk = Desk(tmp_path, STRATEGIES[name])
    async with desk.open():
        cuts = [*sorted(rng.sample(range(1, 2500), 4)), 2500]
        await desk.trade(walk(2500, name), cuts)
        verdict = await desk.verdict()
    assert verdict.difference is None, verdict.difference.told("SIM", "the backtest")
    assert len(verdict.sim.trace.fills) >= 10
    assert verdict.backtest.rows == 2500
    assert verdict.missing == ()
    assert verdict.backtest.compiled


async def test_two_symbols_keep_their_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["pairs"], symbols=("KRW-ETH", "KRW-BTC"))
    async with desk.open():
        await desk.trade(walk(1500, "pairs"), [1, 800, 1500])
        verdict = await desk.verdict()
    assert verdict.difference is None
    assert {line.symbol for line in verdict.sim.trace.fills} == {"KRW-ETH", "KRW-BTC"}


async def test_halts_resumes_and_a_flatten_are_repeated(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(3000, "halts"), [600], controls=["halt"])
        await desk.trade(None, [900, 1000], controls=["resume"])
        await desk.trade(None, [1700], controls=["flatten"])
        await desk.trade(None, [2000], controls=["resume"])
        await desk.trade(None, [3000])
        verdict = await desk.verdict()
        kinds = [row.kind for row in verdict.sim.inputs]
    assert kinds == ["halt", "resume", "flatten", "halt", "resume"] or set(kinds) >= {
        "halt",
        "resume",
        "flatten",
    }
    assert verdict.difference is None, verdict.difference.told("SIM", "the backtest")
    assert len(verdict.sim.trace.fills) >= 10


async def test_a_strategy_that_raised_is_repeated_without_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["raises"])
    async with desk.open():
        await desk.trade(walk(900, "raises"), [500])
        await desk.trade(None, [700], controls=["resume"])
        verdict = await desk.verdict()
    assert "raised" in {row.kind for row in verdict.sim.inputs}
    assert verdict.difference is None, verdict.difference.told("SIM", "the backtest")
    assert verdict.sim.trace.orders


async def test_a_missing_stretch_is_told_as_the_cause(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        desk.unrecorded = [300]  # a recorder that missed one waits until it has caught up
        await desk.trade(walk(1200, "missing"), [1200])
        verdict = await desk.verdict()
    assert verdict.difference is not None
    assert verdict.missing == ((300, 1200),)
    assert verdict.causes == ["the recording lacks 901 batches of ticks (300 to 1200)"]


async def test_ticks_that_the_bot_lost_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for patience in ("REPEAT_S", "NO_HISTORY_S", "NO_FEED_S"):  # no feed is here to be asked
        monkeypatch.setattr(history, patience, 0.01)
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(1200, "lost"), [400])
        await desk.lose(430)
        await desk.trade(None, [1200])
        verdict = await desk.verdict()
    assert [row.payload for row in verdict.sim.inputs if row.kind == "gap"] == [{"first": 401, "last": 430}]
    assert verdict.difference is None, verdict.difference.told("SIM", "the backtest")
    assert verdict.backtest.rows == 1200 - 30


async def test_a_run_that_other_code_took_over_is_told_as_such(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(1200, "adopted"), [600])
        desk.told = desk.manifest(STRATEGIES["quoter"])
        await desk.trade(None, [1200], on_change="adopt")
        verdict = await desk.verdict()
    assert verdict.difference is not None
    assert verdict.causes[0].startswith(
        "the run was handed over to other code or another manifest after tick 600"
    )


async def test_another_code_or_parameter_is_told_as_the_cause(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(1200, "code"), [1200])
        changed = await desk.verdict(STRATEGIES["cross"].replace("tick.bid * 1.002", "tick.bid * 1.003"))
        tuned = await desk.verdict(params={"fast": 4})
    assert changed.difference is not None
    assert changed.causes[0].startswith("the code is another one")
    assert tuned.difference is not None
    assert tuned.causes[0].startswith("the manifest is another one")


@pytest.mark.parametrize("maker", MAKERS)
async def test_any_other_fill_is_found(maker: str, tmp_path: Path) -> None:
    """One digit changed in the journal, behind everybody's back."""
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(1200, "digit"), [1200])
        assert (await desk.verdict()).difference is None
        desk.forge(MAKERS[maker])
        verdict = await desk.verdict()
    assert verdict.difference is not None
    assert verdict.causes == [c for c in verdict.causes if "please report it" in c]


async def test_earlier_runs_are_compared_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(2400, "runs"), [1200])
        desk.told = desk.manifest(STRATEGIES["cross"], params={"fast": 4})
        await desk.trade(None, [2400], on_change="reset")
        first, second = await desk.verdict(run=1), await desk.verdict(run=2)
    assert (first.difference, second.difference) == (None, None)
    assert first.sim.trace != second.sim.trace
    assert first.sim.trace.fills[-1].ts < second.sim.trace.fills[0].ts


async def test_while_the_bot_trades(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    found = []

    async def look() -> None:
        found.append(await desk.verdict())

    async with desk.open():
        await desk.trade(walk(2000, "running"), [700, 1300, 2000], meanwhile=look)
    assert [verdict.difference for verdict in found] == [None] * 3
    assert len(found[-1].sim.trace.fills) > len(found[0].sim.trace.fills) > 0


async def test_the_command_says_the_same_orders_and_fills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(1200, "command"), [700, 1200])
        verdict = await desk.verdict()
    common = ["parity", "cross", "--ticks", str(desk.ticks), "--db", desk.url]
    assert await asyncio.to_thread(sigma, common) == 0
    said = capsys.readouterr().out
    orders, fills = len(verdict.sim.trace.orders), len(verdict.sim.trace.fills)
    assert f"the same {orders} orders, the same {fills} fills\n" in said
    other = desk.manifest(STRATEGIES["cross"].replace("< slow", "<= slow * 0.9999"))
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(desk.written(other)))
    assert await asyncio.to_thread(sigma, [*common, "--manifest", str(file)]) == 1
    said = capsys.readouterr().out
    assert "first difference: 20" in said
    assert "likely cause: the code is another one" in said


async def test_what_cannot_be_compared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        await desk.trade(walk(300, "bad"), [300])
        with pytest.raises(BadInputError, match="did you mean 'cross'"):
            await desk.verdict(name="crosss")
        with pytest.raises(BadInputError, match="has no run 7"):
            await desk.verdict(run=7)
        desk.ticks = tmp_path / "elsewhere"
        with pytest.raises(BadInputError, match="no recording"):
            await desk.verdict()


async def test_a_run_without_a_tick_has_nothing_to_compare(tmp_path: Path) -> None:
    desk = Desk(tmp_path, STRATEGIES["cross"])
    async with desk.open():
        desk.silent = True
        await desk.trade(walk(20, "silent"), [20])
        with pytest.raises(BadInputError, match="has seen no tick of KRW-BTC: there is nothing to compare"):
            await desk.verdict()
