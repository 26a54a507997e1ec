"""Spool files of ticks become Parquet by symbol and day, in a process of its own:
``python -m sigma_bot.feed.compaction ROOT VENUE TODAY SPOOL_FILE...``.

pyarrow and its memory pools take 90 MiB that a feed would then hold for the rest of its life, for a second's
work every quarter of an hour.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sigma_bot.bus.segment_log import read_frames
from sigma_bot.model.messages import TickMessage, decode_batch
from sigma_bot.times import utc

SPOOL = ".spool"
COVERED = "covered.json"
LOCK = "parts.lock"
ENDING = ".parquet"
FLOATS = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
INTEGERS = ("seq", "exchange_ts", "received_ts")


def compact_in_process(root: Path, venue: str, spooled: Sequence[Path], today: str | None) -> None:
    """`convert` in a process of its own, waited for. Raises OSError with its last words; call it again later.

    It goes on should this process be killed; the next one waits for it and finds what it has done.
    """
    command = [
        sys.executable,
        "-m",
        "sigma_bot.feed.compaction",
        str(root),
        venue,
        today or "",
        *map(str, spooled),
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the feed's to handle
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise OSError(f"Parquet could not be written (exit code {done.returncode}): {said[-1]}")


def main() -> int:
    """See `converted`. Exit code 1 with the words of the error on standard error, or 0."""
    root, venue, today, *spooled = sys.argv[1:]
    if today:  # nobody waits for it: the feed's clock and the bots come first
        os.nice(10)
    try:
        compact(Path(root), venue, [Path(path) for path in spooled], today or None)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def compact(root: Path, venue: str, spooled: Sequence[Path], today: str | None) -> None:
    """Turn closed spool files (oldest first) into parts, and the parts of days before ``today`` (of every day
    for None) into the day's file. Each step may be repeated. Raises OSError, as when the disk is full."""
    lock = os.open(root / SPOOL / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _compact_segments(root, venue, spooled)
        merge_days(root, today)
    finally:
        os.close(lock)


def _compact_segments(root: Path, venue: str, spooled: Sequence[Path]) -> None:
    covered = read_covered(root)
    for path in spooled:
        if any(low <= int(path.stem) <= high for low, high in covered):
            continue
        before = covered[-1][1] if covered else None
        found, numbers = collect_ticks(read_frames(path), before)
        for symbol, columns in found.items():
            _write_parts(root / symbol, venue, columns, numbers[0])
        if numbers:
            covered = add_ranges(covered, numbers)
            _write_covered(root, covered)


def _write_parts(folder: Path, venue: str, columns: Columns, first: int) -> None:
    """One part for each day, usually one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = columns.table(venue, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    days = [date_of(ts - 1) for ts in columns.ts] if _crosses_midnight(columns.ts) else None
    if days is None:
        write_table(folder / f"{date_of(columns.ts[0] - 1)}.{first:020d}{ENDING}", [table])
        return
    of_row = pa.array(days)
    for day in sorted(set(days)):
        write_table(folder / f"{day}.{first:020d}{ENDING}", [table.filter(pc.equal(of_row, day))])


def date_of(ts: int) -> str:
    """The UTC day of ``ts`` (ns)."""
    return utc(ts).date().isoformat()


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


def collect_ticks(
    entries: Iterator[tuple[int, bytes]], after: int | None
) -> tuple[dict[str, Columns], list[int]]:
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
    for whole, parts in days_in_parts(root, today):
        _merge(whole, parts)


def days_in_parts(root: Path, today: str | None) -> list[tuple[Path, list[Path]]]:
    """(the day's file, its parts) of each symbol and day before ``today`` that has parts."""
    found = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name != SPOOL):
        days: dict[str, list[Path]] = {}
        for path in folder.glob(f"*.*{ENDING}"):
            days.setdefault(path.name.split(".")[0], []).append(path)
        for day, parts in sorted(days.items()):
            if today is None or day < today:
                found.append((folder / f"{day}{ENDING}", sorted(parts)))
    return found


def _merge(whole: Path, parts: list[Path]) -> None:
    write_table(whole, row_groups([whole, *parts] if whole.exists() else parts))
    for path in parts:
        path.unlink()


def row_groups(files: Iterable[Path], first: int = -1, upto: int = 1 << 62) -> Iterator[Any]:
    """Tables of ascending sequence numbers from ``first`` on, one row group at a time; none that begins
    behind ``upto``.

    A kill between renaming and removing leaves parts that are in the day's file already: they are told by
    their numbers.
    """
    from pyarrow import parquet

    last = first - 1
    for path in files:
        groups = spans(path)
        if not any(high > last and low <= upto for low, high in groups):
            continue
        file = parquet.ParquetFile(path)
        for group, (low, high) in enumerate(groups):
            if high > last and low <= upto:
                table = file.read_row_group(group)
                if low <= last:
                    table = table.filter(table_after(table, last))
                yield table
                last = high


def spans(path: Path) -> tuple[tuple[int, int], ...]:
    """(first, last) sequence number of each row group of a file, none of which is empty."""
    return _spans(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _spans(path: Path, _written: int) -> tuple[tuple[int, int], ...]:
    """A file that is replaced has another time."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        at = file.schema_arrow.get_field_index("seq")
        groups = [file.metadata.row_group(i).column(at).statistics for i in range(file.num_row_groups)]
    return tuple((found.min, found.max) for found in groups)


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


if __name__ == "__main__":
    sys.exit(main())
