"""Reading a recording: one venue's ticks between two sequence numbers, also while the feed still writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sigma_bot.bus.segment_log import read_frames, segments
from sigma_bot.errors import BadInputError
from sigma_bot.feed.compaction import (
    ENDING,
    SPOOL,
    add_ranges,
    collect_ticks,
    read_covered,
    row_groups,
)

T = TypeVar("T")
TRIES = 5
"""A part may be joined to the day's file between listing and opening it: look again."""


@dataclass(frozen=True)
class Recording:
    """``tables``: by symbol, an Arrow table with ts (ns UTC), the eight values of a tick, seq, exchange_ts,
    received_ts and gap, ordered by seq; a symbol without ticks has none. ``missing``: ranges of sequence
    numbers (both ends included) that were asked for and are not recorded."""

    tables: dict[str, Any]
    missing: tuple[tuple[int, int], ...]


def recorded(out: Path, venue: str, symbols: Sequence[str], first: int, last: int) -> Recording:
    """The recorded ticks of batches ``first`` .. ``last``. Raises BadInputError when the venue has no
    recording there."""
    root = out / venue
    if not (root / SPOOL).is_dir():
        raise BadInputError(f"{root}: no recording; sigma feed --venue {venue} --out {out} makes one")
    return unmoved(lambda: _recorded(root, venue, symbols, first, last))


def unmoved(read: Callable[[], T]) -> T:
    """What ``read`` gives once the feed moves no file away under its hands."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()


def _recorded(root: Path, venue: str, symbols: Sequence[str], first: int, last: int) -> Recording:
    import pyarrow as pa

    covered = read_covered(root)
    spooled = _spooled(root, covered, first, last)
    if read_covered(root) != covered:
        raise FileNotFoundError(f"{root}: some of the spool became Parquet meanwhile")
    before = spooled[0][0] - 1 if spooled and covered and covered[-1][1] == spooled[0][0] - 1 else None
    columns, numbers = collect_ticks(iter(spooled), before)
    tables = {}
    for symbol in symbols:
        pieces = [
            table.filter(_upto(table, last))
            for table in row_groups(_files(root / symbol, covered), first, last)
        ]
        if symbol in columns:
            pieces.append(columns[symbol].table(venue, symbol))
        if pieces:
            tables[symbol] = pa.concat_tables(pieces)
    return Recording(tables, _missing(add_ranges(covered, numbers), first, last))


def _files(folder: Path, covered: Sequence[tuple[int, int]]) -> list[Path]:
    """Days, then parts, by date. A part that is not said to be covered is being written again."""
    if not folder.is_dir() or not covered:
        return []
    upto = covered[-1][1]
    found = []
    for path in folder.glob(f"*{ENDING}"):
        day, *part = path.name.removesuffix(ENDING).split(".")
        if not part or int(part[0]) <= upto:
            found.append((day, int(part[0]) if part else -1, path))
    return [path for _, _, path in sorted(found)]


def _spooled(
    root: Path, covered: Sequence[tuple[int, int]], first: int, last: int
) -> list[tuple[int, bytes]]:
    """Batches of first .. last that are in no Parquet file yet."""
    after = max(first - 1, covered[-1][1] if covered else -1)
    if after >= last:
        return []
    files = segments_after(root / SPOOL, after)
    return [entry for path in files for entry in read_frames(path, after) if entry[0] <= last]


def segments_after(spool: Path, after: int) -> list[Path]:
    """The files of a spool that may hold higher numbers, oldest first."""
    found = segments(spool)
    ends = [first for first, _ in found[1:]]
    return [path for (_, path), end in zip(found, [*ends, after + 2], strict=True) if end > after + 1]


def _upto(table: Any, last: int) -> Any:
    import pyarrow.compute as pc

    return pc.less_equal(table["seq"], last)


def _missing(covered: Sequence[tuple[int, int]], first: int, last: int) -> tuple[tuple[int, int], ...]:
    """What of first .. last no range holds."""
    found, at = [], first
    for low, high in covered:
        if high < at or low > last:
            continue
        if low > at:
            found.append((at, low - 1))
        at = high + 1
    if at <= last:
        found.append((at, last))
    return tuple(found)
