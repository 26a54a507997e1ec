"""Everything a user can get wrong: the message names the place and what is right; nothing is left behind."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.desk import CROSS, Answer, Desk, finished, sigma_process

DAY = "2024-01-{:02}T00:00:00Z"
HEAD = "time,open,high,low,close,volume"
BARS = [f"{DAY.format(d)},10,12,9,{10 + d % 3},5" for d in range(1, 29)]
QUOTES = [f"2024-01-01T00:00:{s:02}Z,{100 + s % 3},{101 + s % 3},1,1" for s in range(60)]
BODY = "        quick = self.quick"  # first line of Cross.decide
LINE = CROSS.splitlines().index("        quick = self.quick.update(price)") + 1


def body(statement: str) -> str:
    """Cross with a statement at the head of ``decide``, at line LINE."""
    return CROSS.replace(BODY, f"        {statement}\n{BODY}", 1)


def table(*rows: str, head: str = HEAD) -> str:
    return "\n".join([head, *rows]) + "\n"


def bars(place: int, row: str) -> str:
    """Good bars but for one, in line ``place + 2`` of the file."""
    return table(*BARS[:place], row, *BARS[place + 1 :])


def refused(desk: Desk, *arguments: str | Path, **spec: Any) -> Answer:
    """The answer to a bad manifest or command line; nothing was printed and nothing is left."""
    answer = desk.backtest(desk.manifest(**spec), *arguments, "--html", "report.html")
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert desk.left_over() == set()
    return answer


STRATEGY = {"file": "strategy.py"}
MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt field": (
        {"risk": {"maxPositon": "3"}},
        "backtest.yaml:24: spec.risk.maxPositon: unknown field; did you mean 'maxPosition'?",
    ),
    "wrong type": (
        {"account": {"cash": 10000}},
        'backtest.yaml:22: spec.account.cash: must be text, got 10000: write it as text: "10000"',
    ),
    "out of range": (
        {"execution": {"slippageTicks": -1}},
        "backtest.yaml:24: spec.execution.slippageTicks: must be at least 0, got -1",
    ),
    "wrong unit": (
        {"execution": {"latency": "50 sec"}},
        'spec.execution.latency: must be a whole number and a unit: "100ms", "30s", "5m", "1h" or "1d"',
    ),
    "zero cash": (
        {"account": {"cash": "0"}},
        'backtest.yaml:22: spec.account.cash: must be above 0, got "0"',
    ),
    "negative cash": ({"account": {"cash": "-5"}}, 'spec.account.cash: must be above 0, got "-5"'),
    "unknown class": (
        {"strategy": STRATEGY | {"class": "Cros"}},
        "strategy.py: spec.strategy.class: there is no class 'Cros'; did you mean 'Cross'?",
    ),
    "unknown parameter": (
        {"strategy": STRATEGY | {"params": {"fats": 3}}},
        "spec.strategy.params.fats: Cross has no parameter 'fats'; did you mean 'fast'? (strategy.py:5)",
    ),
    "parameter out of range": (
        {"strategy": STRATEGY | {"params": {"fast": 51}}},
        "spec.strategy.params.fast: must be at most 50, got 51 (strategy.py:6)",
    ),
    "no strategy file": (
        {"strategy": {"file": "stratgy.py"}},
        "no such strategy file; did you mean 'strategy.py'?",
    ),
    "unknown symbol of the sample": (
        {"data": {"source": "sample"}, "markets": [{"symbol": "GOGO"}], "period": None},
        "the sample has no 'GOGO'; did you mean 'GOOG'?",
    ),
    "unknown symbol of the catalogue": (
        {"data": {"source": "catalogue"}},
        "has no 'BTC'; it has nothing yet; sigma data import fills it",
    ),
    "bars that cannot be built": (
        {"timeframes": ["90s"]},
        "spec.timeframes: bars of 90 s cannot be built from data of 60 s bars; give a multiple",
    ),
    "unknown timeframe": (
        {"timeframes": ["1 minute"]},
        'spec.timeframes[0]: must be a whole number and a unit: "100ms"',
    ),
    "syntax error": (
        {"code": CROSS.replace("if quick > calm", "if quick >> > calm")},
        "strategy.py:26: invalid syntax\n    if quick >> > calm and broker.position == 0:\n                ^",
    ),
    "missing module": (
        {"code": "import tallib\n" + CROSS},
        "strategy.py:1: no module named 'tallib'; install it, or put tallib.py beside the strategy",
    ),
    "missing name": (
        {"code": CROSS.replace("Sma, S", "Smma, S")},
        "strategy.py:2: cannot import name 'Smma' from 'sigma_bot'; did you mean 'Sma'?",
    ),
    "bars and no on_bar": (
        {"code": CROSS.replace("on_bar", "on_bars")},
        "strategy.py: the data are bars, but Cross has no on_bar(self, bar, broker); add one",
    ),
    "ticks, no on_tick and no timeframes": (
        {"code": CROSS.replace("on_tick", "on_ticks"), "data": {"source": "synthetic"}},
        "strategy.py: the data are ticks, but Cross has no on_tick(self, tick, broker); add one, or name",
    ),
    "data that are not there": (
        {"data": {"path": "no.csv"}},
        "no.csv: no such file; give the path of a CSV or Parquet",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_bad_manifest_or_strategy(desk: Desk, case: str) -> None:
    spec, says = MANIFESTS[case]
    answer = refused(desk, **spec)
    assert answer.code == 2
    assert says in answer.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--set", "fats=3"],
            "--set fats=3: Cross has no parameter 'fats'; did you mean 'fast'? (strategy.py:5)",
        ),
        (["--set", "fast=x"], "--set fast=x: must be a whole number, got 'x'"),
        (["--set", "fast"], "--set fast: must be name=value, like --set fast=8"),
        (["--set", "fast=51"], "--set fast=51: must be at most 50, got 51 (strategy.py:6)"),
        (["--from", "yesterday"], '--from: must be a date: "2024-01-31" or, with a time and its offset,'),
        (["--from", "2024-05-01"], '--from: must be before "to" ("2024-01-02T09:20:00Z"), got "2024-05-01"'),
        (["--data", "no.csv"], "no.csv: no such file"),
        (["--engine", "fast"], "'fast' is not one of 'auto', 'compiled', 'interpreted'"),
        (["--otput", "json"], "No such option"),
    ],
)
def test_a_bad_option(desk: Desk, arguments: list[str], says: str) -> None:
    answer = refused(desk, *arguments)
    assert answer.code == 2
    assert says in answer.err


FILES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("d.csv", "", "the file is empty; it needs a header row and at least one row of data"),
    "header only": ("d.csv", table(), "the file has a header and no row of data"),
    "missing column": (
        "d.csv",
        table(*BARS, head="time,open,high,lo,close,volume"),
        "the columns time, open, high, lo, close, volume are neither bars (open, high, low, close)",
    ),
    "no Parquet": ("d.parquet", b"PAR1 and then nothing", "not a readable Parquet file"),
    "naive times": (
        "d.csv",
        table(*(row.replace("T00:00:00Z", " 00:00:00") for row in BARS)),
        "column time: the time '2024-01-01 00:00:00' does not say its time zone; name it with timezone:",
    ),
    "unsorted": (
        "d.csv",
        table(*BARS[:5], BARS[6], BARS[5], *BARS[7:]),
        "line 8, column time: not sorted by time: 2024-01-06T00:00:00Z comes after 2024-01-07T00:00:00Z",
    ),
    "duplicate": (
        "d.csv",
        table(*BARS[:5], BARS[4], *BARS[5:]),
        "line 7, column time: duplicate time 2024-01-05T00:00:00Z; each time comes once",
    ),
    "NaN": (
        "d.csv",
        bars(5, DAY.format(6) + ",10,12,9,nan,5"),
        "line 7, column close: is empty or not a number",
    ),
    "text": (
        "d.csv",
        bars(5, DAY.format(6) + ",10,12,9,ten,5"),
        "line 7, column close: 'ten' is not a number",
    ),
    "high below low": (
        "d.csv",
        bars(5, DAY.format(6) + ",10,9,12,10,5"),
        "line 7, column high: high 9.0 is below low 12.0; correct the row",
    ),
    "negative price": (
        "d.csv",
        bars(5, DAY.format(6) + ",-10,12,-11,10,5"),
        "line 7, column open: price is -10.0; a price is above zero; correct the row",
    ),
    "negative volume": (
        "d.csv",
        bars(5, DAY.format(6) + ",10,12,9,10,-5"),
        "line 7, column volume: volume is -5.0; it cannot be below zero",
    ),
    "crossed quotes": (
        "d.csv",
        table(
            *QUOTES[:30],
            "2024-01-01T00:00:30Z,105,101,1,1",
            *QUOTES[31:],
            head="time,bid,ask,bid_size,ask_size",
        ),
        "line 32, column bid: bid 105.0 is above ask 101.0; correct the row",
    ),
    "another symbol": (
        "d.csv",
        table(*("ETH," + row for row in BARS), head="symbol," + HEAD),
        "no row of symbol 'BTC'; column symbol has ETH",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_market_data(desk: Desk, case: str) -> None:
    name, content, says = FILES[case]
    (desk.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    answer = refused(desk, data={"path": name}, period=None)
    assert answer.code == 2
    assert str(desk.folder / name) in answer.err
    assert says in answer.err


def test_data_that_end_before_the_period(desk: Desk) -> None:
    desk.file("d.csv", table(*BARS))
    after = refused(desk, data={"path": "d.csv"}, period={"from": "2025-01-01", "to": "2025-06-01"})
    assert after.code == 2
    assert "the data ends before the period 2025-01-01T00:00:00Z" in after.err
    assert "there are rows from 2024-01-01T00:00:00Z to 2024-01-28T00:00:00Z; choose a period" in after.err
    # a part of the period is run, and said
    manifest = desk.manifest(data={"path": "d.csv"}, period={"from": "2024-01-01", "to": "2024-06-01"})
    part = desk.backtest(manifest, "--html", "report.html")
    assert (part.code, part.json["events"]) == (0, 28)
    says = "BTC: the data end at 2024-01-29T00:00:00Z, before the period's end 2024-06-02T00:00:00Z"
    assert says in part.err
    assert "the data end at 2024-01-29T00:00:00Z" in (desk.folder / "report.html").read_text()


# --- the strategy raises

RAISES: dict[str, tuple[str, str]] = {
    "division": ("1 // (broker.row - 1500)", "ZeroDivisionError: integer division or modulo by zero"),
    "its own": (
        "assert broker.row < 1500, 'no more'",
        "AssertionError: no more",
    ),
    "an order for a symbol that is not there": (
        "broker.buy(1.0, symbol=broker.row // 1500)",
        "IndexError: there is no such symbol: it must be less than the number of markets",
    ),
}


@pytest.mark.parametrize("case", RAISES)
def test_a_strategy_that_raises_on_the_nth_row_is_told_alike_compiled_and_interpreted(
    desk: Desk, case: str
) -> None:
    statement, says = RAISES[case]
    told = set()
    for engine in ("compiled", "interpreted"):
        answer = refused(desk, "--engine", engine, code=body(statement))
        assert answer.code == 3
        told.add(answer.err)
    assert len(told) == 1
    message = told.pop()
    assert message.startswith(f"error: the strategy raised {says}")
    assert f"strategy.py:{LINE} in decide\n    {statement}\n" in message
    assert message.endswith("  at 2024-01-02T01:01:00.000000000Z in the market, row 1500\n")
    assert "sigma_bot/" not in message, "our own files are no help"


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_the_row_is_right_far_into_ticks(desk: Desk, engine: str) -> None:
    """Beyond a checkpoint of the compiled run and many batches of the interpreted one."""
    code = body("assert broker.row != 150_001")
    hours = {"from": "2024-01-01", "to": "2024-01-01T06:00:00Z"}
    answer = refused(desk, "--engine", engine, code=code, data={"source": "synthetic"}, period=hours)
    assert answer.code == 3
    assert answer.err.endswith("at 2024-01-01T04:10:00.200000000Z in the market, row 150001\n")


@pytest.mark.parametrize(
    ("code", "where", "when"),
    [
        (CROSS.replace("setup(self.fast)", "setup(self.fast * 1000)"), "in on_start", "before the first row"),
        (CROSS + "\n    def on_fill(self, fill, broker):\n        [1][3]\n", "in on_fill", "row 10"),
        (CROSS + "\n    def on_stop(self, broker):\n        self.nothing\n", "in on_stop", "row 1999"),
        (body("raise SystemExit(0)"), "in decide", "row 0"),
    ],
    ids=["on_start", "on_fill", "on_stop", "exit"],
)
def test_a_strategy_that_raises_elsewhere(desk: Desk, code: str, where: str, when: str) -> None:
    answer = refused(desk, code=code)
    assert answer.code == 3
    assert where in answer.err
    assert when in answer.err.splitlines()[-1]


def test_endless_recursion_is_told_briefly(desk: Desk) -> None:
    answer = refused(desk, code=body("self.decide(price, broker)"))
    assert answer.code == 3
    assert "RecursionError" in answer.err
    assert len(answer.err) < 5000


# --- orders the venue would refuse


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ("0.0004", "quantity is zero or negative"),  # less than half a lot is none
        ("float('nan')", "quantity is not finite or too large to count"),
        ("0.004", "below the venue's minimum quantity"),
        ("5000.0", "insufficient funds"),
    ],
)
def test_refused_quantities_are_shown_with_their_reason(desk: Desk, size: str, reason: str) -> None:
    market = {"symbol": "BTC", "tickSize": "0.01", "lotSize": "0.001", "minQuantity": "0.01"}
    manifest = desk.manifest(
        code=CROSS.replace("broker.buy(self.size", f"broker.buy({size}"), markets=[market]
    )
    answer = desk.sigma("backtest", manifest, "--output", "full", "--html", "report.html", "--db", "runs.db")
    told = answer.json
    refusals = told["counts"]["rejected"]
    assert refusals > 100
    assert told["counts"]["orders"] == told["counts"]["fills"] == 0
    assert {row["reason"] for row in told["orders"]} == {reason}
    assert {row["status"] for row in told["orders"]} == {"rejected"}
    assert "the strategy sent no order; all were rejected" in answer.err
    page = (desk.folder / "report.html").read_text().split("<script", 1)[0]
    assert reason.replace("'", "&#x27;") in page
    assert f"{refusals:,}" in page
    shown = desk.sigma("backtest", manifest, "--no-store").out
    assert reason in shown


# --- where results go


def test_a_database_that_cannot_be_reached_leaves_no_report(desk: Desk) -> None:
    manifest = desk.manifest()
    before = desk.file("report.html", "an older report")
    for url, says in (
        ("postgresql://u:secret@127.0.0.1:1/x", "cannot be reached"),
        ("mysql://host/x", "scheme 'mysql' is not known; write sqlite:///FILE or postgresql://"),
        (str(desk.folder), "is a folder; name a file"),
    ):
        answer = desk.backtest(manifest, "--html", "report.html", db=url)
        # a server that is away is no fault of the user's: it may be there the next time
        assert (answer.code, answer.out) == (1 if says == "cannot be reached" else 2, "")
        assert says in answer.err
        assert "secret" not in answer.err
        assert before.read_text() == "an older report"
        assert [p.name for p in desk.folder.iterdir() if p.name.startswith(".")] == []


@pytest.fixture
def small_disk(desk: Desk) -> Iterator[Path]:
    """A disk of 2 MB on the desk."""
    disk = desk.folder / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_read_only_database_refuses_the_whole_run(desk: Desk, small_disk: Path) -> None:
    manifest = desk.manifest()
    assert desk.backtest(manifest, db=small_disk / "runs.db").code == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    answer = desk.backtest(manifest, "--html", "report.html", db=small_disk / "runs.db")
    assert (answer.code, answer.out) == (2, "")
    assert str(small_disk / "runs.db") in answer.err
    assert "writ" in answer.err
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert len(desk.stored(small_disk / "runs.db")) == 1
    assert desk.left_over() == set()


def test_a_full_disk_keeps_the_database_and_the_old_report(desk: Desk, small_disk: Path) -> None:
    manifest = desk.manifest()
    assert desk.backtest(manifest, db=small_disk / "runs.db").code == 0
    # the page holds plotly.js, which alone is more than the disk
    page = desk.backtest(manifest, "--html", small_disk / "report.html")
    assert page.code == 2
    assert "report.html' cannot be written: No space left on device; choose another place" in page.err
    assert desk.stored() == []
    (small_disk / "filler").write_bytes(
        b"x" * os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    )
    full = desk.backtest(manifest, "--html", "report.html", db=small_disk / "runs.db")
    assert (full.code, full.out) == (2, "")
    assert "disk full" in full.err or "the disk is full" in full.err
    assert "nothing was stored" in full.err
    (small_disk / "filler").unlink()
    assert len(desk.stored(small_disk / "runs.db")) == 1
    assert desk.left_over() == set()


def test_a_file_that_may_not_grow_is_told_and_nothing_is_kept(desk: Desk) -> None:
    manifest = desk.manifest()

    def quota() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    arguments = ("backtest", manifest, "--engine", "interpreted", "--db", "runs.db", "--html", "report.html")
    answer = finished(sigma_process(*arguments, preexec_fn=quota))
    assert answer.code == 2
    assert "report.html' cannot be written: File too large" in answer.err
    answer = finished(sigma_process(*arguments[:-2], preexec_fn=quota))
    assert answer.code == 2
    assert "nothing was stored" in answer.err or "cannot be" in answer.err
    assert "Traceback" not in answer.err
    assert desk.left_over() == set()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere/report.html", "--html: the folder {desk}/nowhere does not exist; create it first"),
        (".", "--html: . is a folder; give the name of a file, like report.html"),
        ("", "--html: . is a folder; give the name of a file, like report.html"),
        ("/proc/report.html", "HTML report '/proc/report.html' cannot be written: "),
        ("strategy.py/report.html", "--html: the folder {desk}/strategy.py does not exist"),
    ],
)
def test_a_report_that_cannot_be_written(desk: Desk, target: str, says: str) -> None:
    answer = desk.backtest(desk.manifest(), "--html", target)
    assert (answer.code, answer.out) == (2, "")
    assert says.format(desk=desk.folder) in answer.err
    assert desk.left_over() == set()


def test_a_report_of_the_manifest_that_cannot_be_written(desk: Desk) -> None:
    answer = desk.backtest(desk.manifest(report={"html": "nowhere/report.html"}))
    assert (answer.code, answer.out) == (2, "")
    assert f"spec.report.html: the folder {desk.folder}/nowhere does not exist; create it first" in answer.err
    assert desk.left_over() == set()
