"""Files as a trader has them, and what is said when one is wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from sigma_bot.data.columns import detect
from sigma_bot.errors import BadInputError

MINUTE = 60_000_000_000
T0 = 1_704_067_200_000_000_000
BARS = """time,open,high,low,close,volume
2024-01-01T00:00:00Z,100,102,99,101,10
2024-01-01T00:01:00Z,101,103,100,102,20
2024-01-01T00:02:00Z,102,104,101,103,30
2024-01-01T00:03:00Z,103,105,102,104,40
"""


OHLC = ("open", "high", "low", "close")


def refused(read, path, *words, **options):
    with pytest.raises(BadInputError) as caught:
        read(path, **options)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message
    return message


def edited(line, column, value):
    rows = [row.split(",") for row in BARS.splitlines()]
    rows[line - 1][rows[0].index(column)] = value
    return "\n".join(",".join(row) for row in rows) + "\n"


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.txt"])
def test_bars_of_a_csv_file(read, write, name):
    market, rows = read(write(name, BARS))
    assert (market.kind, market.timeframe, market.rows, market.has_volume) == ("bar", MINUTE, 4, True)
    assert rows["ts"] == [T0 + i * MINUTE for i in range(4)]
    assert rows["end"] == [t + MINUTE for t in rows["ts"]]
    assert (market.start, market.end) == (rows["ts"][0], rows["end"][-1])
    assert rows["close"] == [101.0, 102.0, 103.0, 104.0]
    assert any("taken as open times" in w for w in market.warnings)


def test_other_separators_and_headings(read, write):
    text = BARS.replace(",", ";").replace(
        "time;open;high;low;close;volume", "<DTYYYYMMDD>;<O>;<H>;<L>;<C>;<VOL>"
    )
    _, rows = read(write("x.csv", text), columns={"ts": "<DTYYYYMMDD>"})
    assert rows["high"] == [102.0, 103.0, 104.0, 105.0]


def test_date_and_time_of_day_in_two_columns_under_one_heading(read, write):
    text = "Date,Open,High,Low,Close\n2024-01-01,09:01:00,1,2,1,2\n2024-01-01,09:02:00,1,2,1,2\n"
    _, rows = read(write("x.csv", text), timezone="+09:00")
    assert rows["ts"] == [T0 + MINUTE, T0 + 2 * MINUTE]


def test_an_index_without_a_name_is_the_time(read, write):
    _, rows = read(write("x.csv", BARS.replace("time,", ",")))
    assert rows["ts"][0] == T0


def test_a_file_without_a_header_needs_positions(read, write):
    path = write("x.csv", "1704067200,1,2,1,2\n1704067260,1,2,1,2\n")
    refused(read, path, "1, 2, 3, 4, 5")
    columns = dict(zip(("ts", "open", "high", "low", "close"), "12345", strict=True))
    _, rows = read(path, columns=columns)
    assert rows["ts"] == [T0, T0 + MINUTE]


def test_stamps_at_the_close(read, write):
    _, rows = read(write("x.csv", BARS), stamps="close")
    assert rows["end"] == [T0 + i * MINUTE for i in range(4)]
    market, rows = read(write("y.csv", BARS.replace("time", "close_time")))
    assert rows["end"][0] == T0
    assert market.warnings == []


@pytest.mark.parametrize("shift", [0, 1])
def test_sessions_show_whether_stamps_are_open_or_close(read, write, shift):
    days = [(d, m) for d in range(8) for m in range(9 * 60 + shift, 15 * 60 + 30 + shift)]
    lines = [f"{T0 + (d * 1440 + m) * MINUTE},1,1,1,1" for d, m in days]
    market, rows = read(write("x.csv", "ts,open,high,low,close\n" + "\n".join(lines)))
    assert rows["ts"][0] == T0 + 9 * 60 * MINUTE
    assert not any("open times" in w for w in market.warnings)


def test_seconds_without_a_trade_do_not_lengthen_the_bar(read, write):
    seconds = np.cumsum([3, 3, 3, 1, 3, 2] * 50)
    lines = [f"{T0 + int(s) * 10**9},1,1,1,1" for s in seconds]
    market, _ = read(write("x.csv", "ts,open,high,low,close\n" + "\n".join(lines)))
    assert market.timeframe == 10**9


def test_a_timeframe_that_the_data_contradict(read, write):
    refused(read, write("x.csv", BARS), "1m apart", "5m", timeframe=5 * MINUTE)


def test_one_bar_does_not_show_its_length(read, write):
    path = write("x.csv", "\n".join(BARS.splitlines()[:2]))
    refused(read, path, "timeframe")
    assert read(path, timeframe=MINUTE)[0].timeframe == MINUTE


def test_no_volume_is_said(read, write):
    text = "\n".join(line.rpartition(",")[0] for line in BARS.splitlines())
    market, rows = read(write("x.csv", text))
    assert not market.has_volume
    assert rows["volume"] == [0.0] * 4
    assert any("no volume" in w for w in market.warnings)


def test_dates_without_a_time_of_day_are_utc_and_said(read, write):
    market, rows = read(write("x.csv", "Date,Open,High,Low,Close\n1/30/2024,1,2,1,2\n1/31/2024,1,2,1,2\n"))
    assert rows["ts"] == [T0 + 29 * 1440 * MINUTE, T0 + 30 * 1440 * MINUTE]
    assert any("00:00 UTC" in w for w in market.warnings)


def test_one_symbol_of_a_file_of_several(read, write):
    text = "symbol,time,price,qty\n" + "".join(
        f"{s},{T0 + i * 10**9},{p + i},1\n" for i in range(3) for s, p in (("BTC-USD", 100), ("ETH-USD", 10))
    )
    path = write("x.csv", text)
    assert read(path, "ETH/USD")[1]["last"] == [10.0, 11.0, 12.0]
    both = read(path, "ETH/USD", "BTC/USD")[1]
    assert both["symbol"] == [0, 1] * 3
    assert both["last"] == [10.0, 100.0, 11.0, 101.0, 12.0, 102.0]
    refused(read, path, "no row of symbol 'X'", "BTC-USD, ETH-USD")


def test_a_folder_of_files_by_symbol(read, write, tmp_path):
    write("BTC-USD_2024-01.csv", BARS)
    write("BTC-USD_2024-02.csv", BARS.replace("2024-01-01", "2024-02-01"))
    write("ETH-USD.csv", BARS)
    assert read(tmp_path, "BTC/USD")[0].rows == 8
    _, rows = read(tmp_path, "ETH-USD", "BTC-USD")
    assert rows["symbol"] == [0, 1] * 4 + [1] * 4
    with pytest.raises(BadInputError, match="no CSV or Parquet file for XRP-USD"):
        read(tmp_path, "XRP-USD", "BTC-USD")


def test_another_symbols_file_is_never_taken(read, write, tmp_path):
    write("ETHUSDT-1d.csv", BARS)
    with pytest.raises(BadInputError, match=r"no CSV or Parquet file for BTCUSDT.*ETHUSDT-1d\.csv"):
        read(tmp_path, "BTCUSDT")


@pytest.mark.parametrize("name", ["bars-1m.csv", "2024-01.csv.gz", "trades_and_more.csv"])
def test_one_market_takes_files_that_name_no_symbol_or_say_it_in_a_column(read, write, tmp_path, name):
    head, *lines = BARS.split()
    said = "\n".join([f"symbol,{head}", *(f"BTC-USDT,{line}" for line in lines)])
    write(name, said if "more" in name else BARS)
    assert read(tmp_path, "BTCUSDT")[0].rows == 4


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_file_that_changes_its_unit_of_time_names_the_row(read, write, tmp_path, ending):
    times = [1_735_603_200_000, 1_735_603_260_000, 1_735_689_600_000_000]
    if ending == "parquet":
        path = tmp_path / "x.parquet"
        parquet.write_table(pa.table({"ts": times, **{n: [1.0] * 3 for n in OHLC}}), path)
    else:
        path = write(f"x.{ending}", "ts,open,high,low,close\n" + "".join(f"{t},1,1,1,1\n" for t in times))
    place = "row 3" if ending == "parquet" else "line 4"
    refused(read, path, place, "1735689600000000", "not a time like the ones before it")
    with pytest.raises(BadInputError, match=place):
        read(path, start=1_735_603_200_000_000_000)


def test_ticks_beside_bars_never_change_what_is_read(read, write, tmp_path):
    write("X_bars.csv", BARS)
    write("X_ticks.csv", f"ts,bid,ask,last\n{T0},1,2,1\n{T0 + MINUTE},1,2,1\n")
    with pytest.raises(BadInputError, match="X: there are bars, ticks; say which"):
        read(tmp_path)
    assert read(tmp_path, timeframe=MINUTE)[0].kind == "bar"
    assert [read(tmp_path, kind=k)[0].kind for k in ("bars", "ticks")] == ["bar", "tick"]


def test_files_that_overlap_in_time(read, write, tmp_path):
    write("X_1.csv", BARS)
    path = write("X_2.csv", BARS.replace(":00Z", ":30Z"))
    with pytest.raises(BadInputError, match=r"X_2.csv begins at 2024-01-01T00:00:30Z, before"):
        read(path.parent)


def test_quotes_and_trades_become_ticks(read, write, tmp_path):
    write("X_quotes.csv", f"ts,bidPrice,bidQty,askPrice,askQty\n{T0},1,5,2,6\n{T0 + 150_000_000},1.5,5,2,6\n")
    write("X_trades.csv", f"ts,p,q\n{T0 + 10_000_000},2,0.1\n{T0 + 20_000_000},1,0.2\n")
    market, rows = read(tmp_path)
    assert market.kind == "tick"
    assert rows["ts"] == [T0 + 100_000_000, T0 + 200_000_000]
    assert rows["volume"] == [0.3, 0.0]
    assert (rows["low"][0], rows["high"][0], rows["last"]) == (1.0, 2.0, [1.0, 1.0])


# bad input


def test_empty_files(read, write, tmp_path):
    refused(read, write("a.csv", ""), "is empty")
    refused(read, write("b.csv", "\n\n"), "is empty")
    refused(read, write("c.csv", "time,open,high,low,close\n"), "no row of data")
    path = tmp_path / "d.parquet"
    parquet.write_table(pa.table({"ts": pa.array([], pa.int64())}), path)
    refused(read, path, "is empty")


def test_a_missing_file_and_an_unknown_ending(read, write, tmp_path):
    refused(read, tmp_path / "no.csv", "no such file")
    refused(read, write("x.xlsx", "?"), "unknown ending", ".parquet")


def test_unreadable_files(read, write, tmp_path):
    refused(read, write("x.parquet", "this is no parquet"), "not a readable Parquet file")
    path = tmp_path / "x.csv.gz"
    path.write_bytes(b"no gzip at all")
    refused(read, path, "cannot be read")


def test_a_truncated_parquet_file(read, tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"ts": np.arange(1000)}), path)
    path.write_bytes(path.read_bytes()[:-20])
    refused(read, path, "not a readable Parquet file")


def test_a_missing_column_with_the_nearest_name(read, write):
    message = refused(read, write("x.csv", BARS.replace("close", "clozed")), "time, open, high, low, clozed")
    assert "map" in message
    message = refused(read, write("y.csv", BARS.replace("close", "clozed")), kind="bars")
    assert "did you mean 'clozed'" in message
    refused(read, write("z.csv", BARS.replace("time", "when")), "'ts'")


def test_mappings_that_name_nothing(read, write):
    path = write("x.csv", BARS)
    with pytest.raises(BadInputError, match="'closing' is not a column of ours; did you mean 'close'"):
        read(path, columns={"closing": "close"})
    refused(read, path, "no column 'clos'", "did you mean 'close'", columns={"close": "clos"})


def test_order_book_changes_are_not_trades():
    with pytest.raises(BadInputError, match="order-book changes"):
        detect(["ts", "side", "price", "qty", "is_snapshot"], "f")


def test_naive_times(read, write):
    path = write("x.csv", BARS.replace("Z,", ","))
    refused(read, path, "column time", "'2024-01-01T00:00:00'", "timezone")
    assert read(path, timezone="UTC")[1]["ts"][0] == T0


def test_unsorted_rows(read, write):
    lines = BARS.splitlines()
    path = write("x.csv", "\n".join([lines[0], lines[1], lines[3], lines[2], lines[4]]))
    refused(
        read,
        path,
        "line 4",
        "not sorted",
        "2024-01-01T00:01:00Z comes after 2024-01-01T00:02:00Z",
        "data import",
    )


def test_duplicate_times(read, write):
    lines = BARS.splitlines()
    refused(
        read, write("x.csv", "\n".join([*lines, lines[-1]])), "line 6", "duplicate time 2024-01-01T00:03:00Z"
    )


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("close", "", "empty or not a number"),
        ("close", "NaN", "empty or not a number"),
        ("high", "inf", "finite"),
        ("high", "100.5", "high 100.5 is below low 101.0"),
        ("open", "99", "open 99.0 lies outside low 101.0 .. high 104.0"),
        ("close", "200", "close 200.0 lies outside"),
        ("low", "-1", "price is -1.0"),
        ("low", "0", "price is 0.0"),
        ("volume", "-5", "volume is -5.0"),
        ("close", "abc", "'abc' is not a number"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(read, write, column, value, words):
    message = refused(read, write("x.csv", edited(4, column, value)), "line 4", f"column {column}", words)
    assert "drop-bad" in message or "not a number" in message


def test_blank_lines_count_in_the_line_number(read, write):
    text = edited(4, "close", "").replace("\n", "\n\n", 1)
    refused(read, write("x.csv", text), "line 5", "column close")


def test_a_short_row(read, write):
    refused(
        read, write("x.csv", BARS + "2024-01-01T00:04:00Z,1,2\n"), "line 6", "3 fields where the header has 6"
    )


def test_a_time_unlike_the_others(read, write):
    refused(read, write("x.csv", edited(3, "time", "soon")), "line 3", "column time", "'soon'")
    refused(read, write("y.csv", edited(3, "time", "")), "line 3", "the time is empty")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("3,2,1,1", "bid 3.0 is above ask 2.0"),
        ("0,2,1,1", "price is 0.0"),
        ("1,2,-1,1", "size is -1.0"),
        ("1,,1,1", "empty or not a number"),
    ],
)
def test_wrong_quotes(read, write, row, words):
    path = write("x.csv", f"ts,bid,ask,bid_size,ask_size\n{T0},1,2,1,1\n{T0 + 1},{row}\n")
    refused(read, path, "line 3", words)


def test_a_wrong_value_of_a_parquet_file(read, tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"ts": [T0, T0 + 1], "price": [1.0, -2.0], "size": [1.0, 1.0]}), path)
    refused(read, path, "row 2", "column price", "-2.0")


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (T0 + 10**15, None, "ends before the period"),
        (None, T0 - 10**15, "begins after the period"),
        (T0 + MINUTE + 1, T0 + MINUTE + 2, "no row in the period"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_data_outside_the_period(read, write, tmp_path, start, end, words, ending):
    path = write("x.csv", BARS)
    if ending == "parquet":
        table = parquet_of(BARS)
        path = tmp_path / "x.parquet"
        parquet.write_table(table, path)
    refused(read, path, words, "2024-01-01T00:00:00Z", "2024-01-01T00:03:00Z", start=start, end=end)


def parquet_of(text):
    lines = [line.split(",") for line in text.splitlines()[1:]]
    times = pa.array([T0 + i * MINUTE for i in range(len(lines))], pa.timestamp("ns", "UTC"))
    return pa.table(
        {
            "ts": times,
            **{n: [float(r[i + 1]) for r in lines] for i, n in enumerate(["open", "high", "low", "close"])},
        }
    )


def test_a_period_that_the_data_cover_in_part_is_said(read, write):
    market, _ = read(write("x.csv", BARS), start=T0 - 10 * 1440 * MINUTE, end=T0 + 10 * 1440 * MINUTE)
    assert any("begin at 2024-01-01T00:00:00Z" in w for w in market.warnings)
    assert any("end at 2024-01-01T00:04:00Z" in w for w in market.warnings)


def test_a_period_takes_the_bars_that_lie_in_it(read, write):
    path = write("x.csv", BARS)
    assert read(path, start=T0 + MINUTE, end=T0 + 3 * MINUTE)[1]["ts"] == [T0 + MINUTE, T0 + 2 * MINUTE]
    market, rows = read(path, start=T0, end=T0 + 2 * MINUTE, stamps="close")
    assert rows["end"] == [T0 + MINUTE, T0 + 2 * MINUTE]
    assert market.rows == 2


def test_decimals_and_text_numbers_of_parquet(read, tmp_path):
    from decimal import Decimal

    path = tmp_path / "x.parquet"
    table = pa.table(
        {"ts": [T0, T0 + 10**9], "price": [Decimal("0.1"), Decimal("2.30")], "size": ["0.30", "7"]}
    )
    parquet.write_table(table, path)
    _, rows = read(path)
    assert rows["last"] == [0.1, 2.3]
    assert rows["volume"] == [0.3, 7.0]
