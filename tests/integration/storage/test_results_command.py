"""``sigma results`` on stored runs: list, show, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.cli.main import run
from sigma_bot.metrics.metrics import metrics_of
from sigma_bot.report.summary import full_document
from sigma_bot.results import use_store
from sigma_bot.results.records import Sweep, Trial
from sigma_bot.results.trades import result_trades
from tests.integration.storage import storage_samples as samples


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


@pytest.fixture
def sigma(db: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """``sigma("list")`` runs ``sigma results list``; gives exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["results", *arguments, "--db", db])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def real(**changes: Any) -> Any:
    """A result whose trades and metrics follow from its fills: one symbol, bought and sold."""
    result = samples.result(4, markets=samples.MARKETS[:1], params={"fast": 8, "slow": 21}, **changes)
    fills = result.fills
    fills["symbol"], fills["lots"] = 0, 1000
    fills["side"], fills["position"] = [1, -1, 1, -1], [1000, 0, 1000, 0]
    fills["ts"] = [result.start + hours * 3_600 * 10**9 for hours in range(4)]
    fills["notional"], fills["realized"], fills["fee"] = 10**9, [0, 10**9, 0, -(10**8)], 10**6
    result.orders["symbol"] = 0
    result.orders["lots"] = result.orders["filled"] = 1000
    result.equity["ts"] = [result.start + hours * 3_600 * 10**9 for hours in range(4)]
    return result


def store(db: str, result: Any) -> str:
    trades = result_trades(result)
    return use_store(lambda held: held.save_result(result, trades, metrics_of(result, trades)), db)


def test_list_shows_the_newest_first(sigma: Any, db: str) -> None:
    first, second = store(db, real(name="alpha")), store(db, real(name="beta"))
    code, out, err = sigma("list")
    assert (code, err) == (0, "")
    assert out.index(second) < out.index(first)
    assert "beta (fast=8, slow=21)" in out
    listed = json.loads(sigma("list", "--output", "json", "--name", "alpha")[1])
    assert [entry["id"] for entry in listed] == [first]
    assert listed[0]["initial_cash"] == "10000.00000001"
    assert listed[0]["start"].endswith("Z")
    assert len(json.loads(sigma("list", "--output", "json", "--limit", "1")[1])) == 1


def test_list_of_nothing(sigma: Any, db: str) -> None:
    code, _, err = sigma("list")
    assert (code, Path(db).exists()) == (2, False)
    assert "the file does not exist; `sigma backtest` makes it" in err
    store(db, real())
    assert sigma("list", "--name", "other")[:2] == (0, "no runs are stored under the name 'other'\n")


def test_show_tells_what_the_backtest_told(sigma: Any, db: str) -> None:
    result = real()
    stored = store(db, result)
    trades = result_trades(result)
    told = json.loads(sigma("show", stored[:6], "--output", "full")[1])
    expected = json.loads(json.dumps(full_document(result, metrics_of(result, trades), trades)))
    assert {name: told[name] for name in expected} == expected
    assert told["id"] == stored
    assert "orders" not in json.loads(sigma("show", stored, "--output", "json")[1])
    code, out, _ = sigma("show", stored)
    assert code == 0
    assert f"run {stored}, " in out
    assert "Sharpe" in out


def test_show_writes_the_report_again(sigma: Any, db: str, tmp_path: Path) -> None:
    stored = store(db, real(name="kept"))
    target = tmp_path / "report.html"
    code, out, err = sigma("show", stored, "--html", str(target))
    assert (code, err) == (0, "")
    assert f"report: {target}" in out
    assert "kept" in target.read_text()


def test_show_of_an_unknown_run(sigma: Any, db: str) -> None:
    stored = store(db, real())
    code, out, err = sigma("show", "x" + stored[1:])
    assert (code, out) == (2, "")
    assert f"is not stored; did you mean '{stored}'" in err


def test_compare_says_what_differs(sigma: Any, db: str) -> None:
    one = real()
    spec = {"spec": {"execution": {"latency": "50ms"}, "strategy": {"params": {"fast": 8}}}}
    other = {"spec": {"execution": {"latency": "0ms"}, "strategy": {"params": {"fast": 9}}}}
    digests = dict(one.digests) | {"manifest": "x" * 64}
    left = store(db, real(manifest=spec))
    right = store(db, real(manifest=other, digest="e" * 64, digests=digests, initial_cash=2_000_000_000_000))
    told = json.loads(sigma("compare", left, right, "--output", "json")[1])
    assert told["same"] == {"result": False, "code": True, "manifest": False, "data": True}
    assert told["manifest"] == {"spec.execution.latency": ["50ms", "0ms"]}
    assert told["params"] == {}
    assert told["metrics"]["initial_cash"] == ["10000.00000001", "20000.00000000"]
    code, out, err = sigma("compare", left, right)
    assert (code, err) == (0, "")
    assert "manifest: spec.execution.latency: 50ms -> 0ms" in out
    assert "data      same" in out
    assert "manifest  differs" in out
    assert "+10,000.00 USDT" in out.split("Initial cash")[-1].split("\n")[0]


def test_compare_of_equal_runs(sigma: Any, db: str) -> None:
    left, right = store(db, real()), store(db, real())
    told = json.loads(sigma("compare", left, right, "--output", "json")[1])
    assert told["same"] == dict.fromkeys(("result", "code", "manifest", "data"), True)
    assert told["params"] == told["manifest"] == {}


def test_a_sweep_is_listed_and_shown(sigma: Any, db: str) -> None:
    sweep = Sweep(
        name="grid",
        digest="f" * 64,
        digests={},
        engine="compiled",
        strategy="EmaCross",
        params={"fast": "5:50:5"},
        kind="bar",
        timeframe=60,
        currency="USD",
        precision=2,
        initial_cash=1_000_000,
        start=0,
        end=1,
        events=5,
        settings={"objective": "sortino"},
    )
    trials = [Trial(n, {"fast": n}, {"sortino": n / 10 if n else None}, "d") for n in range(30)]
    stored = use_store(lambda held: held.save_trials(sweep, trials), db)
    assert "30 trials" in sigma("list")[1]
    told = json.loads(sigma("show", stored, "--output", "json")[1])
    assert (len(told["trials"]), told["trials"][0]["metrics"]) == (30, {"sortino": None})
    out = sigma("show", stored)[1]
    assert out.index("fast=29") < out.index("fast=28")
    assert "fast=3 " not in out
    code, _, err = sigma("show", stored, "--html", "x.html")
    assert code == 2
    assert "is a sweep" in err
