"""Imports: what comes back is what was read, to the last bit; what fails leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sigma_bot.cli.data import data
from sigma_bot.data.catalogue_entries import Entry
from sigma_bot.data.catalogue_folder import FolderCatalogue
from sigma_bot.data.importing import SOURCE, sort_and_join
from sigma_bot.data.parquet import scale_of, write_rows
from sigma_bot.data.synthetic import synthetic_bars, synthetic_ticks
from sigma_bot.errors import BadInputError

T0 = 1_704_067_200_000_000_000
MINUTE = 60_000_000_000
DAY = 1440 * MINUTE


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = tmp_path / "catalogue"
    monkeypatch.setenv("SIGMA_DATA", str(folder))
    return folder


@pytest.fixture
def sigma(root):
    """Run ``sigma data ...``; an error of ours is raised."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(data, [str(a) for a in arguments])
        if isinstance(result.exception, BadInputError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=50), st.integers(0, 8))
@settings(deadline=None)
def test_decimals_are_stored_as_integers_exactly(integers, digits):
    """Up to fifteen digits, which a double always tells apart; beyond them doubles are stored."""
    values = np.array([float(f"{i}e-{digits}") for i in integers])
    scale = scale_of(values)
    assert 0 < scale <= 10**digits
    assert (np.rint(values * scale).astype(np.int64) / scale == values).all()


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
@settings(deadline=None)
def test_any_doubles_come_back_bit_for_bit(values, tmp_path_factory):
    from sigma_bot.data.columns import Layout
    from sigma_bot.data.readers import ParquetFile
    from sigma_bot.data.series import Part

    path = tmp_path_factory.mktemp("doubles") / "x.parquet"
    column = np.array(values)
    write_rows(path, {"ts": T0 + np.arange(len(values)), "rate": column}, {})
    part = Part(ParquetFile(path), Layout("funding", {"rate": "rate"}, ("ts",)), None, None)
    back = np.concatenate([r.columns["rate"] for r in part.rows()])
    assert back.tobytes() == column.tobytes()


@pytest.mark.parametrize("kind", ["ticks", "bars"])
def test_a_generated_market_survives_the_catalogue(kind, root, sigma, tmp_path, read):
    columns = synthetic_ticks(900_000, 4) if kind == "ticks" else synthetic_bars(100_000, 4)
    del columns["symbol"]
    path = tmp_path / "in.parquet"
    parquet.write_table(
        pa.table({"ts": pa.array(columns.pop("ts"), pa.timestamp("ns", "UTC")), **columns}), path
    )
    sigma("import", path, "--symbol", "A/B", "--venue", "v", "--stamps", "open")
    catalogue = FolderCatalogue(root)
    entry = catalogue.entries()[0]
    assert entry == Entry("v", "A/B", kind, MINUTE if kind == "bars" else 0)
    assert len(catalogue.dates(entry)) == (2 if kind == "ticks" else 3)
    direct, _ = read(path, "A/B", stamps="open")
    stored, rows = read(None, "A/B", source="catalogue")
    assert stored.digest() == direct.digest()
    assert stored.rows == len(rows["ts"]) == direct.rows
    assert stored.warnings == []
    table = parquet.read_table(root / entry.path(catalogue.dates(entry)[0]))
    assert table.schema.field("bid" if kind == "ticks" else "close").type == pa.int32()


def test_a_period_opens_only_the_files_it_needs(root, sigma, tmp_path, read, write):
    lines = "".join(f"{(T0 + d * DAY) // 10**9},1,1\n" for d in range(5))
    sigma("import", write("x.csv", "ts,price,size\n" + lines), "--symbol", "X")
    catalogue = FolderCatalogue(root)
    entry = catalogue.entries()[0]
    dates = catalogue.dates(entry)
    assert entry.picked(dates, T0 + DAY, T0 + 3 * DAY) == ["2024-01-02", "2024-01-03"]
    _, rows = read(None, source="catalogue", start=T0 + DAY, end=T0 + 3 * DAY)
    assert len(rows["ts"]) == 2
    with pytest.raises(BadInputError, match="ends before the period"):
        read(None, source="catalogue", start=T0 + 99 * DAY)


def test_disorder_is_sorted_and_repeats_are_dropped(root, sigma, read, write):
    rows = [f"{(T0 + i * MINUTE) // 10**9},{i},{i + 2},{i},{i + 1},5" for i in (5, 3, 1, 2, 4, 3)]
    path = write("x.csv", "ts,o,h,l,c,v\n" + "\n".join(rows))
    result = sigma("import", path, "--symbol", "X", "--stamps", "open")
    assert "6 rows read, 5 stored, sorted by time, 1 repeated dropped" in result.output
    assert read(None, source="catalogue")[1]["open"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    result = sigma("import", path, "--symbol", "X", "--stamps", "open")
    assert "0 stored" in result.output
    assert read(None, source="catalogue")[0].rows == 5


def test_two_different_bars_of_one_time_are_refused_or_replaced(root, sigma, read, write):
    text = f"ts,o,h,l,c\n{T0},1,1,1,1\n{T0 + MINUTE},1,1,1,1\n"
    sigma("import", write("x.csv", text), "--symbol", "X")
    path = write("y.csv", text.replace("1,1,1,1", "2,2,2,2"))
    with pytest.raises(BadInputError, match=r"two different bars for 2024-01-01T00:00:00Z: open 1.0 and 2.0"):
        sigma("import", path, "--symbol", "X")
    assert read(None, source="catalogue")[1]["open"] == [1.0, 1.0]
    sigma("import", path, "--symbol", "X", "--replace")
    assert read(None, source="catalogue")[1]["open"] == [2.0, 2.0]


def test_equal_trades_without_an_id_are_all_real(root, sigma, write):
    path = write("x.csv", f"ts,price,size\n{T0},1,1\n{T0},1,1\n{T0 + 1},1,1\n")
    assert "3 stored" in sigma("import", path, "--symbol", "X").output
    more = write("y.csv", f"ts,price,size\n{T0},1,1\n{T0},1,1\n{T0},1,1\n")
    assert "1 stored" in sigma("import", more, "--symbol", "X").output


def test_trades_with_an_id_come_once(root, sigma, write):
    path = write("x.csv", f"ts,price,size,trade_id\n{T0},1,1,7\n{T0},1,1,8\n{T0},1,1,7\n")
    assert "2 stored" in sigma("import", path, "--symbol", "X").output


ROW = st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 2))


@given(st.lists(ROW, min_size=1, max_size=20), st.lists(ROW, max_size=20))
@settings(deadline=None, max_examples=300)
def test_joining_keeps_of_each_trade_as_many_as_the_fuller_input(one, two):
    rows = [*one, *two]
    columns = {n: np.array([r[i] for r in rows]) for i, n in enumerate(("ts", "price", "size"))}
    columns[SOURCE] = np.array([0] * len(one) + [1] * len(two))
    joined, dropped = sort_and_join("trades", columns)
    found = sorted(zip(*(joined[n].tolist() for n in ("ts", "price", "size")), strict=True))
    wanted = sorted(r for r in set(rows) for _ in range(max(one.count(r), two.count(r))))
    assert found == wanted
    assert dropped == len(rows) - len(wanted)
    assert (np.diff(joined["ts"]) >= 0).all()


def test_quotes_and_trades_together_become_ticks(root, sigma, read, write, tmp_path):
    q = write("X_q.csv", f"ts,bid,ask\n{T0 + DAY - 1},1,2\n{T0 + DAY + 1},1,3\n")
    t = write("X_t.csv", f"ts,price,size\n{T0 + DAY + 2},2,1\n{T0 + DAY - 1},2,1\n")
    assert "ticks" in sigma("import", q, t, "--symbol", "X").output
    assert [e.kind for e in FolderCatalogue(root).entries()] == ["ticks"]
    _, rows = read(None, source="catalogue")
    assert rows["ts"] == [T0 + DAY, T0 + DAY + 100_000_000]
    assert rows["ask"] == [2.0, 3.0]


def test_bad_rows_end_the_import_or_are_left_out(root, sigma, read, write):
    path = write("x.csv", f"ts,price,size\n{T0},1,1\n{T0 + 1},-1,1\n{T0 + 2},1,1\n")
    with pytest.raises(BadInputError, match=r"line 3, column price: price is -1.0.*--drop-bad"):
        sigma("import", path, "--symbol", "X")
    assert FolderCatalogue(root).entries() == []
    assert "2 stored, 1 bad left out" in sigma("import", path, "--symbol", "X", "--drop-bad").output


def test_an_import_that_drops_every_row_fails(root, sigma, write):
    path = write("x.csv", f"ts,price,size\n{T0},-1,1\n{T0 + 1},-1,1\n")
    with pytest.raises(BadInputError, match=r"x\.csv: all 2 rows are bad"):
        sigma("import", path, "--symbol", "X", "--drop-bad")
    assert FolderCatalogue(root).entries() == []


def test_an_import_of_ticks_never_changes_what_bars_are_read(root, sigma, read, write):
    bars = "".join(f"{T0 + i * 60_000_000_000},1,1,1,1\n" for i in range(3))
    sigma("import", write("b.csv", "ts,open,high,low,close\n" + bars), "--symbol", "X")
    assert read(None, source="catalogue")[0].kind == "bar"
    ticks = write("t.csv", f"ts,bid,ask,last\n{T0},1,2,1\n{T0 + 1},1,2,1\n")
    sigma("import", ticks, "--symbol", "X")
    with pytest.raises(BadInputError, match="X: there are bars, ticks; say which"):
        read(None, source="catalogue")
    assert read(None, source="catalogue", timeframe=60_000_000_000)[0].kind == "bar"
    assert read(None, source="catalogue", kind="ticks")[0].kind == "tick"


def test_symbols_of_a_column_become_entries(root, sigma, write):
    text = f"ticker,ts,price,size\nA,{T0},1,1\nB/C,{T0},1,1\n"
    sigma("import", write("x.csv", text))
    assert [e.name for e in FolderCatalogue(root).entries()] == ["local/A/trades", "local/B/C/trades"]
    with pytest.raises(BadInputError, match="--symbol"):
        sigma("import", write("y.csv", text.replace("ticker", "word")))


def test_a_failure_leaves_the_catalogue_as_it_was(root, sigma, write, monkeypatch):
    sigma("import", write("x.csv", f"ts,price,size\n{T0},1,1\n"), "--symbol", "X")
    before = sorted(root.rglob("*"))
    calls = []

    def full(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_rows(*arguments, **options)

    monkeypatch.setattr("sigma_bot.data.catalogue_entries.write_rows", full)
    path = write("y.csv", f"ts,price,size\n{T0 + 1},1,1\n{T0 + DAY},1,1\n")
    with pytest.raises(BadInputError, match="No space left on device; nothing was changed"):
        sigma("import", path, "--symbol", "X")
    assert sorted(root.rglob("*")) == before


def test_a_target_that_cannot_be_written(sigma, write, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BadInputError, match=r"cannot be written.*--to"):
        sigma("import", write("x.csv", f"ts,price,size\n{T0},1,1\n"), "--symbol", "X", "--to", blocked / "in")


def test_list_and_show(root, sigma, write):
    assert "is empty" in sigma("list").stderr
    lines = "".join(f"{T0 + i * MINUTE},1,{2 + i},1,1.5\n" for i in (0, 1, 2, 5, 6))
    sigma("import", write("x.csv", "ts,open,high,low,close\n" + lines), "--symbol", "X", "--stamps", "open")
    assert json.loads(sigma("list", "--output", "json").output) == [
        {"name": "local/X/bars-1m", "rows": 5, "first": "2024-01", "last": "2024-01"}
    ]
    assert "local/X/bars-1m" in sigma("list").output
    shown = json.loads(sigma("show", "local/X/bars-1m", "--output", "json").output)
    assert shown["rows"] == 5
    assert (shown["low"], shown["high"], shown["timeframe"]) == ("1.0", "8.0", "1m")
    assert shown["gaps"] == [["2024-01-01T00:02:00Z", "2024-01-01T00:05:00Z"]]
    assert "1m" in sigma("show", "local/X/bars-1m").output
    with pytest.raises(BadInputError, match="did you mean 'local/X/bars-1m'"):
        sigma("show", "local/X/bars-5m")


def test_names_that_leave_the_folder(root, sigma, write):
    path = write("x.csv", f"ts,price,size\n{T0},1,1\n")
    sigma("import", path, "--symbol", "../../up", "--venue", "a/b")
    assert [e.symbol for e in FolderCatalogue(root).entries()] == ["../../up"]
    assert all(root in p.parents for p in Path(root).parent.rglob("*.parquet"))
    with pytest.raises(BadInputError, match="cannot name a folder"):
        sigma("import", path, "--symbol", "..")


def test_a_symbol_the_catalogue_does_not_have(root, sigma, read, write):
    with pytest.raises(BadInputError, match="nothing yet"):
        read(None, source="catalogue")
    path = write("x.csv", f"ts,price,size\n{T0},1,1\n")
    sigma("import", path, "--symbol", "BTCUSDT")
    with pytest.raises(BadInputError, match="did you mean 'BTCUSDT'"):
        read(None, "BTCUSD", source="catalogue")
    sigma("import", path, "--symbol", "BTCUSDT", "--venue", "other")
    with pytest.raises(BadInputError, match="several venues"):
        read(None, "BTCUSDT", source="catalogue")
    assert read("other", "BTCUSDT", source="catalogue")[0].rows == 1


CLEAN = "ts,open,high,low,close\n" + "".join(
    f"{T0 + i * MINUTE},{100 + i % 3},{103 + i % 3},{99 + i % 3},{101 + i % 3}\n" for i in range(200)
)


@pytest.mark.parametrize(
    ("before", "after", "name", "place"),
    [
        (f"{T0 + 50 * MINUTE},102,105,101,103\n", "", "gap", "2024-01-01T00:49:00Z to 2024-01-01T00:51:00Z"),
        (f"{T0 + 51 * MINUTE},", f"{T0 + 50 * MINUTE},", "duplicate time", "line 53: 2024-01-01T00:50:00Z"),
        (f"{T0 + 51 * MINUTE},", f"{T0 + 30 * MINUTE},", "not in order of time", "line 53"),
        (f"{T0 + 51 * MINUTE},100,103,99", f"{T0 + 51 * MINUTE},100,90,99", "high below low", "line 53"),
        (
            f"{T0 + 51 * MINUTE},100,103,99",
            f"{T0 + 51 * MINUTE},100,103,-9",
            "negative price",
            "line 53, column low",
        ),
        (
            f"{T0 + 51 * MINUTE},100,103,99",
            f"{T0 + 51 * MINUTE},100,103,0",
            "zero price",
            "line 53, column low",
        ),
        (f"{T0 + 51 * MINUTE},100,103,99,101", f"{T0 + 51 * MINUTE},100,900,99,900", "outlier", "line 53"),
        (
            f"{T0 + 51 * MINUTE},100,103,99,101",
            f"{T0 + 51 * MINUTE},100,103,99,",
            "not a number",
            "column close",
        ),
    ],
)
def test_check_finds_the_fault(sigma, write, before, after, name, place):
    assert before in CLEAN
    path = write("x.csv", CLEAN.replace(before, after))
    report = json.loads(sigma("check", path, "--output", "json", code=1).output)
    found = {f["name"]: f for f in report[0]["findings"]}
    assert place in found[name]["first"]
    assert place in sigma("check", path, code=1).output


def test_check_of_clean_data_and_of_no_data(sigma, write):
    path = write("x.csv", CLEAN)
    assert "clean" in sigma("check", path).output
    with pytest.raises(BadInputError, match="neither a file nor a name"):
        sigma("check", "nothing")


def test_check_counts_crossed_quotes(sigma, write):
    rows = "".join(f"{T0 + i * 10**9},{1 + 2 * (i in (5, 9))},2\n" for i in range(20))
    report = json.loads(
        sigma("check", write("x.csv", "ts,bid,ask\n" + rows), "--output", "json", code=1).output
    )
    found = {f["name"]: f["count"] for f in report[0]["findings"]}
    assert found == {"crossed quotes": 2}


def test_options_that_make_no_sense(sigma, write):
    path = write("x.csv", CLEAN)
    with pytest.raises(BadInputError, match="--column"):
        sigma("check", path, "--column", "close")
    with pytest.raises(BadInputError, match="--timeframe 'one'"):
        sigma("check", path, "--timeframe", "one")
