"""The recording: exactly what was published, whatever the disk and the clock do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.bus import BusError, open_bus, segment_log
from sigma_bot.data.market import open_request
from sigma_bot.data.request import Request, Wanted
from sigma_bot.errors import BadInputError
from sigma_bot.feed import compaction, recorder
from sigma_bot.feed.compaction import add_ranges
from sigma_bot.feed.recorder import AGAIN_NS, PART_NS, Recorder
from sigma_bot.feed.recording import recorded
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log
from sigma_bot.model.ticks import INTERVAL

DAY = 86_400 * 10**9
NOON = 1_700_000_000 * 10**9 // DAY * DAY + DAY // 2


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Parquet is written in this process: a process of its own takes a second each time. Returns the
    other way."""
    real = recorder.compact_in_process  # type: ignore[attr-defined]
    monkeypatch.setattr(recorder, "compact_in_process", compaction.compact)
    return real


def batch(seq: int, ts: int, symbols: Sequence[str] = ("A", "B"), gaps: tuple[str, ...] = ()) -> TickBatch:
    ticks = tuple(
        TickMessage(
            s,
            10.0 + seq,
            11.5 + seq,
            0.1,
            0.2,
            10.5 + seq,
            seq % 3 / 10,
            10.25 + seq,
            10.75 + seq,
            ts - 9,
            ts - 5,
        )
        for s in symbols
    )
    return TickBatch("upbit", seq, ts, gaps, ticks)


def record(keeper: Recorder, batches: Sequence[TickBatch]) -> None:
    for one in batches:
        keeper.write(one.seq, one.ts, one.encode())


def series(first: int, count: int, start: int = NOON) -> list[TickBatch]:
    return [batch(seq, start + seq * INTERVAL) for seq in range(first, first + count)]


def rows(out: Path, symbol: str, first: int = 1, last: int = 10**9) -> list[tuple[Any, ...]]:
    """(seq, ts, bid, exchange_ts, received_ts, gap) as recorded."""
    table = recorded(out, "upbit", [symbol], first, last).tables.get(symbol)
    if table is None:
        return []
    ts = table["ts"].cast("int64")
    columns = [table["seq"], ts, *(table[n] for n in ("bid", "exchange_ts", "received_ts", "gap"))]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def expected(batches: Sequence[TickBatch], symbol: str) -> list[tuple[Any, ...]]:
    return [
        (b.seq, b.ts, t.bid, t.exchange_ts, t.received_ts, symbol in b.gaps)
        for b in batches
        for t in b.ticks
        if t.symbol == symbol
    ]


async def test_the_recording_is_what_was_written_at_every_stage(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    batches = [
        *series(1, 20),
        batch(21, NOON + 21 * INTERVAL, ("A",), ("A",)),
        batch(22, NOON + 22 * INTERVAL, ()),
    ]
    record(keeper, batches)
    assert rows(tmp_path, "A") == expected(batches, "A")  # from the spool
    await keeper.roll(NOON + PART_NS + INTERVAL)
    assert len(list((tmp_path / "upbit" / "A").glob("*.parquet"))) == 1
    assert rows(tmp_path, "A") == expected(batches, "A")  # from a part
    more = series(23, 10, NOON + PART_NS)
    record(keeper, more)
    assert rows(tmp_path, "B") == expected([*batches, *more], "B")  # from both
    assert rows(tmp_path, "A", 5, 25) == expected([*batches, *more], "A")[4:24]
    await keeper.roll(NOON + PART_NS, finish=True)
    keeper.close()
    assert [p.name for p in (tmp_path / "upbit" / "A").iterdir()] == ["2023-11-14.parquet"]
    assert rows(tmp_path, "A") == expected([*batches, *more], "A")
    found = recorded(tmp_path, "upbit", ["A"], 1, 40)
    assert found.missing == ((33, 40),)


async def test_a_backtest_reads_it_bit_for_bit(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    batches = series(1, 50)
    record(keeper, batches)
    await keeper.roll(NOON, finish=True)
    keeper.close()
    market = open_request(Request((Wanted("A"), Wanted("B")), path="upbit", kind="ticks", base=tmp_path))
    got = []
    for chunk in market.chunks():
        names = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
        got += list(
            zip(
                chunk["ts"].tolist(),
                chunk["symbol"].tolist(),
                *(chunk[n].tolist() for n in names),
                strict=True,
            )
        )
    assert got == [
        (b.ts, "AB".index(t.symbol), t.bid, t.ask, t.bid_size, t.ask_size, t.last, t.volume, t.low, t.high)
        for b in batches
        for t in b.ticks
    ]


async def test_a_day_ends_in_a_file_of_its_own(tmp_path: Path) -> None:
    midnight = NOON + DAY // 2
    keeper = Recorder(tmp_path, "upbit")
    batches = [batch(n, midnight + (n - 5) * INTERVAL) for n in range(1, 10)]
    record(keeper, batches)
    await keeper.roll(midnight + PART_NS + INTERVAL)
    await keeper.roll(midnight + PART_NS + INTERVAL, finish=True)
    keeper.close()
    assert sorted(p.name for p in (tmp_path / "upbit" / "A").iterdir()) == [
        "2023-11-14.parquet",
        "2023-11-15.parquet",
    ]
    assert rows(tmp_path, "A") == expected(batches, "A")


async def test_yesterdays_parts_are_joined_while_the_feed_runs(tmp_path: Path) -> None:
    midnight = NOON + DAY // 2
    keeper = Recorder(tmp_path, "upbit")
    batches = [batch(n, midnight + (n - 5) * INTERVAL) for n in range(1, 10)]
    for one in batches:
        record(keeper, [one])
        await keeper.roll(one.ts)
    await keeper.roll(midnight + PART_NS + INTERVAL)
    keeper.close()
    names = sorted(p.name for p in (tmp_path / "upbit" / "A").iterdir())
    assert names[0] == "2023-11-14.parquet"
    assert [name.count(".") for name in names] == [1, 2]  # today's is a part still
    assert rows(tmp_path, "A") == expected(batches, "A")


async def test_what_a_killed_feed_left_becomes_parts_and_goes_on(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 10))
    keeper.close()  # the kernel does no more than this for a killed process
    keeper = Recorder(tmp_path, "upbit")
    assert keeper.last == 10
    assert [seq for seq, _ in keeper.tail(7)] == [8, 9, 10]
    record(keeper, series(11, 10))
    await keeper.roll(NOON)
    assert rows(tmp_path, "A") == expected(series(1, 20), "A")
    await keeper.roll(NOON, finish=True)
    keeper.close()
    assert rows(tmp_path, "A") == expected(series(1, 20), "A")
    assert recorded(tmp_path, "upbit", ["A"], 1, 20).missing == ()


STEPS = ("_write_covered", "write_table", "merge_days")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
async def test_a_roll_that_stops_anywhere_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """Stopped before and after each step of the second roll; what is there is then read, and rolled again."""
    batches = series(1, 30)
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, batches[:10])
    await keeper.roll(NOON, finish=True)
    record(keeper, batches[10:])
    real = getattr(compaction, step)

    def stop(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction, step, stop)
    with pytest.raises(OSError, match="No space"):
        await keeper.roll(NOON, finish=True)
    monkeypatch.setattr(compaction, step, real)
    assert rows(tmp_path, "A") == expected(batches, "A")
    keeper.close()
    keeper = Recorder(tmp_path, "upbit")
    await keeper.roll(NOON, finish=True)
    keeper.close()
    for symbol in "AB":
        assert rows(tmp_path, symbol) == expected(batches, symbol)
        assert [p.name for p in (tmp_path / "upbit" / symbol).iterdir()] == ["2023-11-14.parquet"]


async def test_parts_that_are_in_the_day_already_are_not_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between renaming the day's file and removing its parts."""
    batches = series(1, 30)
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, batches)
    with monkeypatch.context() as kept:
        kept.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        await keeper.roll(NOON, finish=True)
    assert len(list((tmp_path / "upbit" / "A").glob("*.parquet"))) == 2
    assert rows(tmp_path, "A") == expected(batches, "A")
    await keeper.roll(NOON, finish=True)
    keeper.close()
    assert rows(tmp_path, "A") == expected(batches, "A")
    assert len(list((tmp_path / "upbit" / "A").glob("*.parquet"))) == 1


async def test_a_full_disk_is_made_good_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = open_bus("memory://")
    keeper = Recorder(tmp_path, "upbit")
    batches = series(1, 30)
    write = os.write
    for one in batches:
        if one.seq == 11:
            monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:9]))
        if one.seq == 21:
            monkeypatch.undo()
        record(keeper, [one])
        await bus.append(ticks_log("upbit"), one.seq, one.encode())
        assert keeper.behind == (one.seq >= 11)
        if one.seq == 15:
            await keeper.catch_up(bus)
            assert "the disk is full" in keeper.failure
    await keeper.catch_up(bus)
    assert (keeper.behind, keeper.failure) == (False, "")
    record(keeper, series(31, 5))
    assert rows(tmp_path, "A") == expected(series(1, 35), "A")
    keeper.close()


async def test_a_failed_roll_is_tried_again_a_minute_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Callable[..., None]
) -> None:
    """By the process of its own, which says why."""
    monkeypatch.setattr(recorder, "compact_in_process", here)
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 10))
    (tmp_path / "upbit" / "A").write_text("in the way")
    now = NOON + PART_NS + INTERVAL
    with pytest.raises(OSError, match=r"could not be written \(exit code 1\): .*File exists"):
        await keeper.roll(now)
    keeper.failure = "as the feed notes it"
    (tmp_path / "upbit" / "A").unlink()
    await keeper.roll(now + AGAIN_NS - 1)
    assert not (tmp_path / "upbit" / "A").exists()
    await keeper.roll(now + AGAIN_NS)
    keeper.close()
    assert keeper.failure == ""
    assert len(list((tmp_path / "upbit" / "A").glob("*.parquet"))) == 1
    assert rows(tmp_path, "A") == expected(series(1, 10), "A")


def test_two_that_convert_at_once_do_it_once(tmp_path: Path) -> None:
    """The process that a killed feed left behind, and that of the next feed."""
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 500))
    keeper.close()
    [spooled] = (tmp_path / "upbit" / ".spool").glob("*.log")
    command = [
        sys.executable,
        "-m",
        "sigma_bot.feed.compaction",
        str(tmp_path / "upbit"),
        "upbit",
        "",
        str(spooled),
    ]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert rows(tmp_path, "A") == expected(series(1, 500), "A")
    assert [p.name for p in (tmp_path / "upbit" / "A").iterdir()] == ["2023-11-14.parquet"]


RECORDS = """
import asyncio, sys
from pathlib import Path
from sigma_bot.model.messages import TickBatch, TickMessage
from sigma_bot.feed.recorder import Recorder

keeper = Recorder(Path(sys.argv[1]), "upbit")
tick = TickMessage("A", 1.0, 2.0, 1.0, 1.0, 1.5, 0.0, 1.5, 1.5, 1, 1)
for seq in range(1, 10):
    keeper.write(seq, seq * 10**8, TickBatch("upbit", seq, seq * 10**8, (), (tick,)).encode())
asyncio.run(keeper.roll(10**9, finish=True))
print(*(heavy for heavy in ("numpy", "pandas", "pyarrow") if heavy in sys.modules))
"""


def test_a_feed_that_records_never_loads_what_writes_parquet(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RECORDS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    assert len(rows(tmp_path, "A")) == 9
    assert [p.name for p in (tmp_path / "upbit" / "A").iterdir()] == ["1970-01-01.parquet"]


async def test_a_hole_in_the_numbers_is_a_gap_and_is_told(tmp_path: Path) -> None:
    """The log has forgotten what the recording lacks: behind the hole every symbol says so."""
    bus = open_bus("memory://")
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 5))
    for one in series(9, 3):
        await bus.append(ticks_log("upbit"), one.seq, one.encode())
    await keeper.catch_up(bus)
    await keeper.roll(NOON, finish=True)
    keeper.close()
    found = recorded(tmp_path, "upbit", ["A", "B"], 2, 11)
    assert found.missing == ((6, 8),)
    for symbol in "AB":
        assert [(row[0], row[-1]) for row in rows(tmp_path, symbol, 4)] == [
            (4, False),
            (5, False),
            (9, True),
            (10, False),
            (11, False),
        ]


async def test_the_newest_spool_file_stays_for_the_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_log, "SEGMENT", 2000)
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 100))
    await keeper.roll(NOON, finish=True)
    assert [seq for seq, _ in keeper.tail(97)] == [98, 99, 100]
    assert len(list((tmp_path / "upbit" / ".spool").glob("*.log"))) == 1
    keeper.close()
    keeper = Recorder(tmp_path, "upbit")
    assert keeper.last == 100
    keeper.close()
    assert rows(tmp_path, "A") == expected(series(1, 100), "A")


async def test_what_is_recorded_of_a_range_and_what_is_missing(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    record(keeper, series(1, 10))
    keeper.close()
    found = recorded(tmp_path, "upbit", ["A", "Z"], 3, 12)
    assert list(found.tables) == ["A"]
    assert found.missing == ((11, 12),)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    with pytest.raises(BusError, match="another process writes"):
        Recorder(tmp_path, "upbit")
    keeper.close()


def test_no_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="sigma feed --venue upbit"):
        recorded(tmp_path, "upbit", ["A"], 1, 2)


def test_ranges() -> None:
    assert add_ranges([], [1, 2, 3, 5]) == [(1, 3), (5, 5)]
    assert add_ranges([(1, 3)], [2, 3, 4]) == [(1, 4)]
    assert add_ranges([(1, 3)], []) == [(1, 3)]
