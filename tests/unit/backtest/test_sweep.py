from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bot.backtest import sweep as module
from sigma_bot.backtest.replay import Replay, open_replay
from sigma_bot.backtest.sweep import Plan, SweepResult, run_sweep
from sigma_bot.backtest.sweep_space import parse_space
from sigma_bot.backtest.tester import Engine, run_backtest
from sigma_bot.cli.main import run
from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.metrics.metrics import Basis, metrics_of, returns_for
from sigma_bot.metrics.ratios import expected_maximum_sharpe, probabilistic_sharpe
from sigma_bot.results import use_store
from sigma_bot.results.trades import result_trades
from sigma_bot.spec import with_overrides
from tests.unit.backtest.sweep_world import CROSS, manifest_of, write

SPACE = ("--param", "fast=2:6:2", "--param", "slow=5,9,14")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep")
    write(path)
    return path


@pytest.fixture(scope="module")
def replay(folder: Path) -> Replay:
    return open_replay(manifest_of(folder / "backtest.yaml"), folder)


def swept(replay: Replay, *texts: str, **plan: Any) -> SweepResult:
    return run_sweep(replay, Plan(parse_space(replay.loaded.cls, texts), **plan))


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_a_trial_is_the_backtest_with_these_parameters(folder: Path, engine: str) -> None:
    manifest = manifest_of(folder / "backtest.yaml")
    found = swept(open_replay(manifest, folder, engine), "fast=2,4", "slow=9,14")  # type: ignore[arg-type]
    assert len(found.valid) == 4
    for trial in found.trials:
        alone = run_backtest(with_overrides(manifest, params=trial.params), folder, "compiled")
        assert alone.counts["fills"] > 50
        assert trial.digest == alone.digest
        metrics = metrics_of(alone, result_trades(alone))
        # equity is sampled by the day here and by the hour there: the same daily returns, the same ratios
        for name in ("sharpe", "sortino", "volatility", "total_return", "profit_factor", "trades", "fees"):
            assert trial.metrics[name] == metrics[name], name


def test_days_that_begin_elsewhere_give_the_same_ratios(tmp_path: Path) -> None:
    manifest = manifest_of(write(tmp_path, risk={"dayStart": "+09:00"}))
    trial = open_replay(manifest, tmp_path).trial({"fast": 2})
    alone = run_backtest(with_overrides(manifest, params={"fast": 2}), tmp_path)
    assert len(trial.equity) < len(alone.equity)
    for name in ("sharpe", "kurtosis", "var_95", "beta"):
        assert metrics_of(trial, result_trades(trial))[name] == metrics_of(alone, result_trades(alone))[name]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_the_number_of_processes_changes_nothing(replay: Replay, sampler: str) -> None:
    texts, trials = ("fast=1:5", "slow=6:30:3"), None if sampler == "grid" else 20
    one = swept(replay, *texts, sampler=sampler, trials=trials, seed=3, jobs=1)
    two = swept(replay, *texts, sampler=sampler, trials=trials, seed=3, jobs=2)
    assert one.trials == two.trials
    assert (one.digest, one.deflated, one.best) == (two.digest, two.deflated, two.best)
    assert [t.number for t in one.trials] == list(range(len(one.trials)))
    assert len({tuple(t.params.values()) for t in one.trials}) == len(one.trials)


def test_tpe_finds_a_good_part_of_the_space(replay: Replay) -> None:
    texts = ("fast=1:20", "slow=21:60")
    whole = swept(replay, *texts, objective="total_return")
    led = swept(replay, *texts, objective="total_return", sampler="tpe", trials=80)
    best = [t.metrics["total_return"] for t in whole.ranked]
    assert led.best.metrics["total_return"] >= best[len(best) // 50]  # within the best fiftieth


def test_the_best_comes_first_and_lowest_when_asked(replay: Replay) -> None:
    up = swept(replay, "fast=1:5", "slow=6:30:3", objective="total_return")
    down = swept(replay, "fast=1:5", "slow=6:30:3", objective="total_return", maximise=False)
    values = [float(t.metrics["total_return"]) for t in up.ranked]  # type: ignore[arg-type]
    assert values == sorted(values, reverse=True)
    assert up.best == up.ranked[0]
    assert down.best.params == down.ranked[0].params == up.ranked[-1].params
    assert up.result.digest == up.best.digest


def test_the_number_of_trials_deflates_the_best(replay: Replay) -> None:
    found = swept(replay, "fast=1:5", "slow=6:30:3")
    ratios = [float(t.metrics["sharpe"]) / math.sqrt(365) for t in found.trials]  # type: ignore[arg-type]
    bar = expected_maximum_sharpe(len(found.trials), float(np.var(ratios, ddof=1)))
    returns = returns_for(found.result, Basis()).strategy
    assert found.deflated == pytest.approx(probabilistic_sharpe(returns, bar), rel=1e-12)
    plain = probabilistic_sharpe(returns)
    assert plain is not None
    assert found.deflated < plain


def test_refused_parameters_are_trials_without_a_result(replay: Replay) -> None:
    found = swept(replay, "fast=6,99", "slow=5,9")
    reasons = {(t.params["fast"], t.params["slow"]): t.invalid for t in found.trials}
    assert reasons[6, 5] == "fast must be below slow"
    assert "must be at most 50, got 99" in reasons[99, 5]
    assert reasons[6, 9] == ""
    assert [t.params for t in found.valid] == [{"fast": 6, "slow": 9}]
    assert any("3 of 4 combinations were refused" in note for note in found.notes)
    assert found.deflated == pytest.approx(probabilistic_sharpe(returns_for(found.result, Basis()).strategy))


def test_all_refused_is_bad_input(replay: Replay) -> None:
    with pytest.raises(BadInputError, match=r"refuses every combination.*fast must be below slow"):
        swept(replay, "fast=20", "slow=5,9")


def test_an_objective_that_no_run_has_is_bad_input(replay: Replay) -> None:
    with pytest.raises(BadInputError, match="undefined in every run"):
        swept(replay, "size=0.0000001,0.0000002", objective="profit_factor")


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_strategy_names_parameters_line_and_time(tmp_path: Path, jobs: int) -> None:
    code = CROSS.replace(
        "if not self.slow_ma.ready", "x = 1 // (self.slow - 14)\n        if not self.slow_ma.ready"
    )
    path = write(tmp_path, code)
    broken = open_replay(manifest_of(path), tmp_path)
    assert broken.compiled
    with pytest.raises(StrategyError) as caught:
        swept(broken, "slow=9,14,20", jobs=jobs)
    text = str(caught.value)
    assert "with slow=14" in text
    assert "ZeroDivisionError" in text
    assert "strategy.py:21" in text
    assert "2024-01-01T01:00:00" in text


def test_an_error_of_on_start_that_is_no_value_error_ends_the_sweep(tmp_path: Path) -> None:
    code = CROSS.replace('raise ValueError("fast must be below slow")', "self.nothing.at.all()")
    broken = open_replay(manifest_of(write(tmp_path, code)), tmp_path, "interpreted")
    with pytest.raises(StrategyError, match=r"with fast=9, slow=5: .*AttributeError"):
        swept(broken, "fast=9", "slow=5")


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_on_stop_runs_in_a_trial(tmp_path: Path, engine: Engine) -> None:
    code = CROSS + "\n    def on_stop(self, broker):\n        raise KeyError(broker.n_fills)\n"
    loud = open_replay(manifest_of(write(tmp_path, code)), tmp_path, engine)
    with pytest.raises(StrategyError, match=r"KeyError: \d\d"):
        loud.trial({})


def test_rejections_and_liquidations_reach_the_result(tmp_path: Path) -> None:
    code = CROSS.replace("broker.target_fraction(self.size)", "broker.buy(1e9)")
    manifest = manifest_of(write(tmp_path, code))
    trial, alone = open_replay(manifest, tmp_path).trial({}), run_backtest(manifest, tmp_path)
    assert trial.counts["rejected"] > 100
    assert (trial.counts, trial.rejections, trial.final) == (alone.counts, alone.rejections, alone.final)


def test_funding_is_paid_in_a_trial(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{day:02}T08:00:00Z,0.001\n" for day in range(2, 30))
    (tmp_path / "funding.csv").write_text("time,rate\n" + rows)
    data = {"path": "bars.csv", "timezone": "UTC", "stamps": "open", "funding": "funding.csv"}
    account = {"type": "margin", "cash": "100000", "leverage": "2"}
    manifest = manifest_of(write(tmp_path, data=data, account=account))
    trial, alone = open_replay(manifest, tmp_path).trial({}), run_backtest(manifest, tmp_path)
    assert trial.final["funding"] > 0
    assert trial.digest == alone.digest


def test_a_number_beyond_64_bits_goes_on_interpreted(tmp_path: Path) -> None:
    code = CROSS.replace("size: float", "big: int\n    size: float").replace(
        "if not self.slow_ma.ready", "big = self.big * 3 + 1\n        self.big = big % 9\n"
        "        if bar.ts > 1704200000000000000 and big * 4611686018427387904 * 8 < 0:\n            return\n"
        "        if not self.slow_ma.ready"
    )  # fmt: skip
    manifest = manifest_of(write(tmp_path, code))
    replay = open_replay(manifest, tmp_path)
    assert replay.compiled
    trial, alone = replay.trial({}), run_backtest(manifest, tmp_path, "interpreted")
    assert trial.engine == "interpreted"
    assert "64-bit" in trial.engine_reason
    assert trial.digest == alone.digest


def test_a_run_leaves_the_first_state_as_it_was(replay: Replay) -> None:
    first = replay.trial({"fast": 4, "slow": 14})
    replay.trial({"fast": 2, "slow": 9})
    again = replay.trial({"fast": 4, "slow": 14})
    assert first.digest == again.digest
    assert (first.equity == again.equity).all()


# ---- the command


def command(folder: Path, *arguments: str) -> int:
    return run(["sweep", str(folder / "backtest.yaml"), *arguments])


def test_json_is_one_document(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(folder, *SPACE, "--no-store", "--output", "json", "--jobs", "2") == 0
    out = json.loads(capfd.readouterr().out)
    assert out["trials"] == 9
    assert out["invalid"] == 1
    assert out["space"] == {"fast": [2, 4, 6], "slow": [5, 9, 14]}
    assert out["best"]["metrics"]["sharpe"] == max(
        r["metrics"]["sharpe"] for r in out["runs"] if "metrics" in r
    )
    assert [r["invalid"] for r in out["runs"] if "invalid" in r] == ["fast must be below slow"]
    assert Decimal(out["best"]["metrics"]["final_equity"]) > 0


def test_the_table_and_the_report(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    page = tmp_path / "sweep.html"
    assert command(folder, *SPACE, "--no-store", "--html", str(page)) == 0
    out = capfd.readouterr().out
    assert "Deflated Sharpe ratio of the best:" in out
    assert "1 of 9 combinations were refused" in out
    assert "8 runs in" in out
    assert "heatmap" in page.read_text()


def test_every_trial_is_stored(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    assert command(folder, *SPACE, "--db", url) == 0
    stored = capfd.readouterr().out.rpartition("stored: ")[2].split()[0]
    trials = use_store(lambda store: store.trials(stored), url)
    head = use_store(lambda store: store.run(stored), url)
    assert [t.number for t in trials] == list(range(9))
    assert trials[4].params == {"fast": 4, "slow": 9}
    assert len(trials[4].digest) == 64
    assert trials[6].metrics == {"invalid": "fast must be below slow"}
    assert head.kind == "sweep"
    assert head.metrics["deflated_sharpe"] is not None
    assert head.details["settings"]["objective"] == "sharpe"


def test_ctrl_c_stores_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sigma_bot.cli.progress.Progress.update", interrupted)
    url = f"sqlite:///{tmp_path}/x.db"
    assert command(folder, *SPACE, "--db", url, "--jobs", "2") == 130
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--param is missing"),
        (("--param", "fsat=1"), "did you mean 'fast'?"),
        (("--param", "fast=1:5", "--objective", "sharp"), "did you mean 'sharpe'?"),
        (("--param", "fast=1:5", "--objective", "returns_period"), "is no number"),
        (("--param", "fast=1:5", "--html", "/no/such/folder/x.html"), "does not exist"),
        (("--param", "fast=1:5000", "--param", "slow=1:5000"), "25,000,000 combinations"),
        (("--param", "fast=1:5", "--trials", "0"), "--trials"),
        (("--param", "fast=1:5", "--set", "size=7"), "must be at most 1"),
    ],
)
def test_bad_input_ends_with_2(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert command(folder, *arguments, "--no-store") == 2
    assert says in capfd.readouterr().err


def test_data_too_large_for_memory_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigma_bot.backtest.replay.os.sysconf", lambda _: 10)
    with pytest.raises(BadInputError, match="of memory at once"):
        open_replay(manifest_of(folder / "backtest.yaml"), folder)


def test_where_nothing_can_fork_it_runs_in_one_process(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = swept(replay, "fast=1:3")
    monkeypatch.setattr(module.multiprocessing, "get_all_start_methods", lambda: ["spawn"])  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "ProcessPoolExecutor", None)
    assert swept(replay, "fast=1:3", jobs=4).trials == expected.trials
