"""Every published batch on disk: first in a spool, then as Parquet by venue, symbol and day.

``OUT/VENUE/.spool/FIRST.log`` takes each batch before it is published (one write, so SIGKILL loses nothing).
Every quarter of an hour a spool file becomes parts, ``OUT/VENUE/SYMBOL/DATE.FIRST.parquet``; at the end of
the day, and of the feed, the parts become one file, ``OUT/VENUE/SYMBOL/DATE.parquet``. Every file is written
under another name, synced and renamed, and each step may be repeated from its start after a kill.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sigma_bot.bus import Bus, BusError
from sigma_bot.bus.messages import TickMessage, decode_batch, ticks_log
from sigma_bot.bus.spool import Spool, frames

SPOOL = ".spool"
COVERED = "covered.json"
PART_NS = 900 * 1_000_000_000
ENDING = ".parquet"
FLOATS = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
INTEGERS = ("seq", "exchange_ts", "received_ts")


def date_of(ts: int) -> str:
    """The UTC day of ``ts`` (ns)."""
    return datetime.fromtimestamp(ts // 1_000_000_000, UTC).date().isoformat()


class Columns:
    """One symbol's ticks, column by column. ``gap``: the symbol's data have a hole before this tick."""

    def __init__(self) -> None:
        self.ts = array("q")
        self.gap = bytearray()
        self.floats = {name: array("d") for name in FLOATS}
        self.integers = {name: array("q") for name in INTEGERS}

    def __len__(self) -> int:
        return len(self.ts)

    def add(self, seq: int, ts: int, gap: bool, tick: TickMessage) -> None:
        """One tick more."""
        self.ts.append(ts)
        self.gap.append(gap)
        for name, column in self.floats.items():
            column.append(getattr(tick, name))
        for name, value in (
            ("seq", seq),
            ("exchange_ts", tick.exchange_ts),
            ("received_ts", tick.received_ts),
        ):
            self.integers[name].append(value)

    def table(self, venue: str, symbol: str) -> Any:
        """As an Arrow table in the form of the files."""
        import pyarrow as pa

        arrays = {
            "ts": pa.array(self.ts, pa.int64()).cast(pa.timestamp("ns", "UTC")),
            **{name: pa.array(column, pa.float64()) for name, column in self.floats.items()},
            **{name: pa.array(column, pa.int64()) for name, column in self.integers.items()},
            "gap": pa.array([bool(flag) for flag in self.gap], pa.bool_()),
        }
        tags = {"sigma.kind": "ticks", "sigma.venue": venue, "sigma.symbol": symbol}
        return pa.table(arrays).replace_schema_metadata(tags)


def collect(entries: Iterator[tuple[int, bytes]], after: int | None) -> tuple[dict[str, Columns], list[int]]:
    """Columns by symbol of batches in order, and their sequence numbers. ``after`` is the number before the
    first, None when there was none: behind a missing number every symbol has a gap."""
    found: dict[str, Columns] = {}
    numbers: list[int] = []
    broken: set[str] | None = None  # symbols seen since the last missing number; None: nothing is missing
    for seq, payload in entries:
        batch = decode_batch(payload)
        if after is not None and seq != after + 1:
            broken = set()
        after = seq
        numbers.append(seq)
        for tick in batch.ticks:
            gap = tick.symbol in batch.gaps or (broken is not None and tick.symbol not in broken)
            if broken is not None:
                broken.add(tick.symbol)
            found.setdefault(tick.symbol, Columns()).add(seq, batch.ts, gap, tick)
    return found, numbers


class Recorder:
    """Writes one venue's recording. One process at a time: BusError when another has the folder, or when it
    cannot be written at the start. Later a full disk stops nobody: what is missing is taken from the bus's
    log once there is room (``catch_up``)."""

    def __init__(self, out: Path, venue: str) -> None:
        self._root, self._venue = out / venue, venue
        self._spool = Spool(self._root / SPOOL, kept=1 << 62)
        self._spool.cut()  # what an earlier process left becomes parts as it is
        self._bucket = -1
        self._rolled: list[tuple[int, Path]] = []  # closed spool files whose parts are written
        self._merged = ""  # the day before which every part is in its day's file
        self.behind = False
        self.failure = ""

    @property
    def last(self) -> int:
        """The newest batch recorded; -1 for none."""
        return self._spool.last

    def write(self, seq: int, ts: int, payload: bytes) -> None:
        """Record a batch before it is published."""
        if self.behind or (self.last >= 0 and seq != self.last + 1):
            self.behind = True
            return
        try:
            self._append(seq, ts, payload)
        except BusError as error:
            self.behind, self.failure = True, str(error)

    def _append(self, seq: int, ts: int, payload: bytes) -> None:
        bucket = (ts - 1) // PART_NS  # a tick's stamp is the end of its interval
        if bucket != self._bucket:
            self._spool.cut()
            self._bucket = bucket
        self._spool.append(seq, payload)

    def tail(self, after: int) -> list[tuple[int, bytes]]:
        """Recorded batches with a higher number that are still in the spool."""
        return self._spool.read(after, 1 << 30)

    async def catch_up(self, bus: Bus) -> None:
        """Take from the log what could not be written, or was published without a recording."""
        while page := await bus.read(ticks_log(self._venue), self.last):
            try:
                for seq, payload in page:
                    self._append(seq, decode_batch(payload).ts, payload)
            except BusError as error:
                self.failure = str(error)
                return
        self.behind, self.failure = False, ""

    async def roll(self, now: int, finish: bool = False) -> None:
        """Turn closed spool files into parts, and the parts of days before ``now`` (all with ``finish``)
        into the day's file. In a thread: the clock goes on meanwhile. Raises OSError when the disk is full;
        call it again later."""
        if finish or (now - 1) // PART_NS != self._bucket:
            self._spool.cut()
        closed = list(self._spool.closed())
        if closed != self._rolled:
            await asyncio.to_thread(self._roll_segments, closed)
            # The newest stays until the next: the bus may not have all of it yet.
            self._spool.drop(closed[-1][0] - 1)
            self._rolled, self._merged = closed[-1:], ""
        today = date_of(now)
        if finish or today != self._merged:
            await asyncio.to_thread(merge_days, self._root, None if finish else today)
            self._merged = today

    def _roll_segments(self, closed: list[tuple[int, Path]]) -> None:
        covered = read_covered(self._root)
        for first, path in closed:
            if any(low <= first <= high for low, high in covered):
                continue
            before = covered[-1][1] if covered else None
            found, numbers = collect(_politely(frames(path)), before)
            for symbol, columns in found.items():
                self._write_parts(symbol, columns, numbers[0])
            if numbers:
                covered = add_ranges(covered, numbers)
                _write_covered(self._root, covered)

    def _write_parts(self, symbol: str, columns: Columns, first: int) -> None:
        """One part for each day, usually one."""
        import pyarrow.compute as pc

        table = columns.table(self._venue, symbol)
        folder = self._root / symbol
        folder.mkdir(parents=True, exist_ok=True)
        days = [date_of(ts - 1) for ts in columns.ts] if _crosses_midnight(columns.ts) else None
        if days is None:
            write_table(folder / f"{date_of(columns.ts[0] - 1)}.{first:020d}{ENDING}", [table])
            return
        import pyarrow as pa

        of_row = pa.array(days)
        for day in sorted(set(days)):
            write_table(folder / f"{day}.{first:020d}{ENDING}", [table.filter(pc.equal(of_row, day))])

    def close(self) -> None:
        """Give the files back."""
        self._spool.close()


def _politely(entries: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Let the clock's thread in between: it would wait 5 ms for the interpreter otherwise."""
    for number, entry in enumerate(entries):
        if number % 10 == 0:
            time.sleep(0)
        yield entry


def _crosses_midnight(ts: array[int]) -> bool:
    return date_of(ts[0] - 1) != date_of(ts[-1] - 1)


def write_table(path: Path, tables: Iterable[Any]) -> None:
    """A Parquet file of tables of one schema (at least one), one row group each, whole or not at all."""
    from pyarrow import parquet

    temporary = path.with_name(path.name + ".tmp")
    rest = iter(tables)
    first = next(rest)
    with temporary.open("wb") as file:
        with parquet.ParquetWriter(
            file,
            first.schema,
            compression="lz4",
            use_dictionary=list(FLOATS),
            column_encoding=dict.fromkeys(("ts", *INTEGERS), "DELTA_BINARY_PACKED"),
        ) as writer:
            for table in itertools.chain([first], rest):
                writer.write_table(table, row_group_size=len(table))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def merge_days(root: Path, today: str | None) -> None:
    """Join the parts of each day before ``today`` (every day for None) with the day's file."""
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name != SPOOL):
        days: dict[str, list[Path]] = {}
        for path in folder.glob(f"*.*{ENDING}"):
            days.setdefault(path.name.split(".")[0], []).append(path)
        for day, parts in sorted(days.items()):
            if today is None or day < today:
                _merge(folder / f"{day}{ENDING}", sorted(parts))


def _merge(whole: Path, parts: list[Path]) -> None:
    write_table(whole, row_groups([whole, *parts] if whole.exists() else parts))
    for path in parts:
        path.unlink()


def row_groups(files: Iterable[Path], first: int = -1) -> Iterator[Any]:
    """Tables of ascending sequence numbers from ``first`` on, one row group at a time.

    A kill between renaming and removing leaves parts that are in the day's file already: they are told by
    their numbers.
    """
    from pyarrow import parquet

    last = first - 1
    for path in files:
        file = parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            if len(table) and table["seq"][-1].as_py() > last:
                if table["seq"][0].as_py() <= last:
                    table = table.filter(table_after(table, last))
                yield table
                last = table["seq"][-1].as_py()


def table_after(table: Any, last: int) -> Any:
    """A mask of the rows with a higher sequence number."""
    import pyarrow.compute as pc

    return pc.greater(table["seq"], last)


def read_covered(root: Path) -> list[tuple[int, int]]:
    """Ranges of sequence numbers that are in Parquet files, ascending."""
    path = root / SPOOL / COVERED
    if not path.exists():
        return []
    return [(int(low), int(high)) for low, high in json.loads(path.read_text())]


def add_ranges(covered: list[tuple[int, int]], numbers: list[int]) -> list[tuple[int, int]]:
    """``covered`` with ascending numbers added."""
    ranges = list(covered)
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        elif not ranges or number > ranges[-1][1]:
            ranges.append((number, number))
    return ranges


def _write_covered(root: Path, covered: list[tuple[int, int]]) -> None:
    path = root / SPOOL / COVERED
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(covered, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
