"""`sigma backtest` from the command line to the answer, the report and the stored run."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from sigma_bot.metrics.definitions import DEFINITIONS
from tests.integration.cli.desk import CROSS, Desk, finished, sigma_process

SUMMARY = ["digest", "engine", "events", "seconds", "metrics", "counts"]
LISTS = ["orders", "fills", "trades", "equity"]
COUNTS = {
    "orders",
    "fills",
    "rejected",
    "cancelled",
    "expired",
    "liquidations",
    "ambiguous_bars",
    "ended_markets",
}
MONEY = re.compile(r"-?\d+(\.\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def test_json_is_one_document_of_the_documented_keys(desk: Desk) -> None:
    answer = desk.backtest(desk.manifest())
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1
    told = answer.json
    assert list(told) == SUMMARY
    assert (told["engine"], told["events"]) == ("compiled", 2000)
    assert re.fullmatch("[0-9a-f]{64}", told["digest"])
    assert list(told["seconds"]) == ["load", "compile", "run", "report"]
    assert all(isinstance(x, float) and x >= 0 for x in told["seconds"].values())
    assert told["counts"].keys() == COUNTS
    for name, value in told["metrics"].items():
        kind = DEFINITIONS[name].kind
        if value is not None and kind == "money":
            assert MONEY.fullmatch(value), name
        if value is not None and kind == "time":
            assert TIME.fullmatch(value), name
    warning, stored = answer.err.splitlines()
    assert warning == "warning: BTC: synthetic data, generated, not a real market"
    assert stored == f"stored: {desk.stored()[0]['id']}"


def test_full_adds_the_four_lists_and_they_add_up(desk: Desk) -> None:
    told = desk.sigma("backtest", desk.manifest(), "--output", "full", "--no-store").json
    assert list(told) == SUMMARY + LISTS
    orders, fills, trades, equity = (told[name] for name in LISTS)
    counts, metrics = told["counts"], told["metrics"]
    assert len(orders) == counts["orders"] + counts["rejected"]
    assert len(fills) == counts["fills"] > 100
    assert sum(not t["open"] for t in trades) == metrics["trades"]
    for row in fills:
        assert TIME.fullmatch(row["time"])
        for name in ("quantity", "price", "notional", "fee", "realized", "position"):
            assert MONEY.fullmatch(row[name]), name
        exact = Decimal(row["price"]) * Decimal(row["quantity"])
        assert Decimal(row["notional"]) == exact.quantize(Decimal("1e-8"))
    assert sum(Decimal(row["fee"]) for row in fills) == Decimal(metrics["fees"])
    signed = {"buy": -1, "sell": 1}
    cash = sum(
        (signed[r["side"]] * Decimal(r["notional"]) - Decimal(r["fee"]) for r in fills), Decimal(10000)
    )
    held = sum((-signed[r["side"]] * Decimal(r["quantity"]) for r in fills), Decimal(0))
    last = equity[-1]
    assert cash + held * Decimal(last["marks"]["BTC"]) == Decimal(last["equity"])
    assert Decimal(last["equity"]) == Decimal(metrics["final_equity"])
    assert [r["time"] for r in equity] == sorted(r["time"] for r in equity)
    assert len({r["time"] for r in equity}) == len(equity)


def test_both_engines_give_the_same_answer_and_say_which_they_are(desk: Desk) -> None:
    manifest = desk.manifest()
    told = {
        engine: desk.sigma("backtest", manifest, "--engine", engine, "--output", "full", "--no-store").json
        for engine in ("compiled", "interpreted", "auto")
    }
    assert [t.pop("engine") for t in told.values()] == ["compiled", "interpreted", "compiled"]
    for answer in told.values():
        del answer["seconds"]
    assert told["compiled"] == told["interpreted"] == told["auto"]


@pytest.mark.parametrize(
    "statement",
    [
        "text = f'{price}'",
        "seen = {'price': price}",
    ],
    ids=["text", "dict"],
)
def test_what_cannot_be_compiled_is_interpreted_and_compiled_by_force_names_the_line(
    desk: Desk, statement: str
) -> None:
    code = CROSS.replace("        quick = self.quick", f"        {statement}\n        quick = self.quick")
    manifest = desk.manifest(code=code)
    line = code.splitlines().index(f"        {statement}") + 1
    told = desk.backtest(manifest)
    assert (told.code, told.json["engine"]) == (0, "interpreted")
    refused = desk.backtest(manifest, "--engine", "compiled", "--html", "report.html", db="other.db")
    assert (refused.code, refused.out) == (2, "")
    assert f"strategy.py:{line}" in refused.err
    assert statement in refused.err
    assert desk.left_over() == {"runs.db"}
    shown = desk.sigma("backtest", manifest, "--no-store")
    assert "interpreted" in shown.out
    assert f"strategy.py:{line}" in shown.out + shown.err


def test_the_command_line_comes_before_the_manifest(desk: Desk) -> None:
    manifest = desk.manifest()
    plain = desk.backtest(manifest).json
    changed = desk.backtest(manifest, "--set", "fast=5", "--set", "slow=20").json
    assert changed["digest"] != plain["digest"]
    written = desk.manifest("other.yaml", strategy={"file": "strategy.py", "params": {"fast": 5, "slow": 20}})
    assert desk.backtest(written).json["digest"] == changed["digest"]
    day = desk.sigma(
        "backtest", manifest, "--from", "2024-01-01T12:00:00Z", "--to", "2024-01-01", "--output", "full"
    ).json
    assert day["events"] == 720
    assert day["equity"][0]["time"] == "2024-01-01T12:01:00Z"
    assert day["equity"][-1]["time"] == "2024-01-02T00:00:00Z"
    rows = "\n".join(f"2024-01-{d:02},10,12,9,{10 + d % 3},5" for d in range(1, 31))
    data = desk.file("prices.csv", f"date,open,high,low,close,volume\n{rows}\n")
    other = desk.backtest(
        desk.manifest(data={"path": "absent.csv", "timezone": "UTC"}, period=None), "--data", data
    )
    assert other.code == 0, other.err
    assert other.json["events"] == 30


def test_the_report_is_one_file_that_needs_no_network(desk: Desk) -> None:
    answer = desk.backtest(desk.manifest(), "--html", "report.html")
    text = (desk.folder / "report.html").read_text()
    assert answer.json["digest"] in text
    assert re.findall(r"<(?:link|img|iframe|base|object)\b", text) == []
    assert re.findall(r"<script[^>]*\bsrc=", text) == []
    assert "default-src 'none'" in text
    assert list(desk.folder.glob(".*")) == []
    # the manifest's own place, from the manifest's folder
    (desk.folder / "below").mkdir()
    moved = desk.manifest(
        "below/backtest.yaml", strategy={"file": "../strategy.py"}, report={"html": "r.html"}
    )
    assert desk.backtest(moved).code == 0
    assert (desk.folder / "below" / "r.html").exists()


def test_the_table_says_what_was_run_and_where_it_went(desk: Desk) -> None:
    answer = desk.sigma("backtest", desk.manifest(), "--html", "report.html")
    assert answer.code == 0
    for text in (
        "Cross(fast=3, slow=9, size=2)",
        "BTC · 1m bars",
        "compiled",
        "synthetic",
        "report: report.html",
    ):
        assert text in answer.out
    run_id = re.search(r"stored: (\w+) \(sigma results show \1\)", answer.out)
    assert run_id is not None
    assert desk.sigma("results", "show", run_id[1]).code == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_stored_run_is_listed_shown_and_compared(
    desk: Desk, kind: str, request: pytest.FixtureRequest
) -> None:
    db = "kept.db" if kind == "sqlite" else request.getfixturevalue("postgres_database")
    manifest = desk.manifest()
    one = desk.backtest(manifest, db=db).json
    two = desk.backtest(manifest, "--set", "fast=4", db=db).json
    listed = desk.stored(db)
    assert [r["digest"] for r in listed] == [two["digest"], one["digest"]]
    shown = desk.sigma("results", "show", listed[1]["id"], "--db", db, "--output", "full").json
    again = desk.sigma("backtest", manifest, "--no-store", "--output", "full").json
    for name in ["digest", "metrics", "counts", *LISTS]:
        assert shown[name] == again[name], name
    compared = desk.sigma(
        "results", "compare", listed[1]["id"], listed[0]["id"], "--db", db, "--output", "json"
    ).json
    assert compared["same"] == {"result": False, "code": True, "manifest": False, "data": True}
    assert compared["params"] == {"fast": [3, 4]}


def test_money_is_stored_as_exact_decimals(desk: Desk) -> None:
    told = desk.backtest(desk.manifest()).json
    with sqlite3.connect(desk.folder / "runs.db") as connection:
        fees = connection.execute("SELECT fee FROM run_fills").fetchall()
    connection.close()
    assert sum(Decimal(str(fee)) for (fee,) in fees) == Decimal(told["metrics"]["fees"])


def test_a_new_strategy_runs_as_it_is_made(desk: Desk) -> None:
    assert desk.sigma("new", "my_idea").code == 0
    answer = desk.backtest("my_idea/backtest.yaml")
    assert answer.code == 0, answer.err
    told = answer.json
    assert told["engine"] == "compiled"
    assert told["metrics"]["trades"] > 5


@pytest.mark.parametrize("place", ["folder", "database"])
def test_imported_data_are_backtested_from_the_catalogue(
    place: str, desk: Desk, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if place == "database":
        monkeypatch.setenv("SIGMA_DATA", request.getfixturevalue("postgres_database"))
    rows = "\n".join(
        f"2024-03-0{1 + i // 1440}T{i // 60 % 24:02}:{i % 60:02}:00Z,"
        + ",".join(f"{x:.2f}" for x in (100 + i % 7, 108, 99, 100 + (i + 1) % 7, 3 + i % 5))
        for i in range(3000)
    )
    csv = desk.file("btc.csv", f"time,open,high,low,close,volume\n{rows}\n")
    imported = desk.sigma("data", "import", csv, "--venue", "local", "--symbol", "BTC", "--stamps", "open")
    assert imported.code == 0, imported.err
    assert "3,000 stored" in imported.out
    source = {"data": {"source": "catalogue"}, "period": None}
    from_catalogue = desk.backtest(desk.manifest(**source))  # type: ignore[arg-type]
    assert from_catalogue.code == 0, from_catalogue.err
    direct = desk.backtest(desk.manifest(data={"path": "btc.csv", "stamps": "open"}, period=None))
    assert from_catalogue.json["events"] == 3000
    assert from_catalogue.json["digest"] == direct.json["digest"]


# --- processes


def test_a_process_prints_json_and_nothing_else(desk: Desk) -> None:
    answer = finished(sigma_process("backtest", desk.manifest(), "--output", "json"))
    assert answer.code == 0, answer.err
    assert list(answer.json) == SUMMARY
    assert "\r" not in answer.err, "no progress bar where no terminal is"
    assert len(desk.stored(Path.home() / ".sigma" / "sigma.db")) == 1


def test_a_process_whose_strategy_raises_ends_with_3(desk: Desk) -> None:
    code = CROSS.replace(
        "        quick = self.quick", "        1 // (broker.row - 1500)\n        quick = self.quick"
    )
    answer = finished(
        sigma_process("backtest", desk.manifest(code=code), "--html", "r.html", "--db", "runs.db")
    )
    assert (answer.code, answer.out) == (3, "")
    assert "ZeroDivisionError" in answer.err
    assert "Traceback" not in answer.err
    assert desk.left_over() == set()


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_ctrl_c_ends_the_run_and_leaves_nothing(desk: Desk, engine: str) -> None:
    quarter = {"from": "2024-01-01", "to": "2024-03-31"}
    manifest = desk.manifest(data={"source": "synthetic"}, period=quarter)
    screen, terminal = os.openpty()
    process = sigma_process(
        *("backtest", manifest, "--engine", engine, "--html", "r.html", "--db", "runs.db"), stderr=terminal
    )
    os.close(terminal)
    seen = b""
    try:
        while b"backtest [" not in seen and (part := os.read(screen, 1000)):
            seen += part
        process.send_signal(signal.SIGINT)
        answer = finished(process)
        seen += os.read(screen, 10_000)
    finally:
        process.kill()
        os.close(screen)
    assert (answer.code, answer.out) == (130, "")
    assert re.search(rb"\r\x1b\[K(\r\n)?interrupted; nothing was stored\r\n$", seen), "the bar is wiped"
    assert b"Traceback" not in seen
    assert desk.left_over() == set()


def test_two_processes_store_into_one_file_at_once(desk: Desk) -> None:
    manifest = desk.manifest()
    processes = [
        sigma_process("backtest", manifest, "--set", f"fast={n}", "--db", "runs.db", "--output", "json")
        for n in (4, 5)
    ]
    answers = [finished(p) for p in processes]
    assert [a.code for a in answers] == [0, 0], [a.err for a in answers]
    assert {r["digest"] for r in desk.stored()} == {a.json["digest"] for a in answers}
