"""One symbol's rows of one kind, read from files in time order, checked while they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigma_bot.data import columns as names_of
from sigma_bot.data.arrow import array_of, divided, values
from sigma_bot.data.readers import BATCH, Batch, DataFile, ParquetFile
from sigma_bot.data.rules import Columns, describe, first_fault, healthy
from sigma_bot.data.times import TimeRule, rule_for
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.times import iso

SAMPLE = 200_000


@dataclass
class Rows:
    """Canonical columns of a file's rows: ``ts`` (ns) and floats. ``index``: each row's place in the file."""

    columns: Columns
    index: range | np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def take(self, picked: Any) -> Rows:
        """The rows of a mask, a slice or positions."""
        if isinstance(picked, slice):
            return Rows({k: v[picked] for k, v in self.columns.items()}, self.index[picked])
        return Rows({k: v[picked] for k, v in self.columns.items()}, np.asarray(self.index)[picked])


@dataclass
class Scan:
    """What a first look at the times found. ``first`` and ``last`` are inside the bounds, ``all_*`` in the
    file."""

    rows: int = 0
    first: int = 0
    last: int = 0
    all_rows: int = 0
    all_first: int = 0
    all_last: int = 0
    has_volume: bool = False

    def add(self, ts: np.ndarray, low: int | None, high: int | None) -> None:
        """Count a run of times."""
        self.span(int(ts[0]), int(ts[-1]), len(ts))
        inside = ts[between(ts, low, high)]
        if len(inside):
            self.inside(int(inside[0]), int(inside[-1]), len(inside))

    def span(self, first: int, last: int, rows: int) -> None:
        """Note rows of the file."""
        self.all_first = first if self.all_rows == 0 else self.all_first
        self.all_last, self.all_rows = last, self.all_rows + rows

    def inside(self, first: int, last: int, rows: int) -> None:
        """Note rows inside the bounds."""
        self.first = first if self.rows == 0 else self.first
        self.last, self.rows = last, self.rows + rows


def between(ts: np.ndarray, low: int | None, high: int | None) -> Any:
    """What picks ``low <= ts <= high``: a slice when everything is inside, else a mask (the order is
    unchecked)."""
    if not len(ts) or ((low is None or ts.min() >= low) and (high is None or ts.max() <= high)):
        return slice(None)
    mask = np.ones(len(ts), bool)
    if low is not None:
        mask &= ts >= low
    if high is not None:
        mask &= ts <= high
    return mask


class Part:
    """One file read as one symbol's rows of one kind.

    ``symbol`` picks rows where the file has a symbol column; None takes all.
    """

    def __init__(
        self, file: DataFile, layout: names_of.Layout, timezone: str | None, symbol: str | None
    ) -> None:
        self.file, self.layout, self.symbol = file, layout, symbol if layout.symbol else None
        file.expect(self._asked(layout.columns))
        where = f"{file.path}, column {' + '.join(n or '1 (no name)' for n in layout.time)}"
        self.rule: TimeRule = rule_for(self._sample(), timezone, where)
        self._seen: set[str] = set()

    def _sample(self) -> Any:
        """The first times; nothing is read where the type says all."""
        if isinstance(self.file, ParquetFile) and len(self.layout.time) == 1:
            kind = self.file.schema.field(self.layout.time[0]).type
            if pa.types.is_timestamp(kind) and kind.tz is not None:
                return array_of(np.empty(0, np.int64), kind)
        for batch in self.file.batches(dict.fromkeys(self.layout.time, "text")):
            times = self._time_column(batch.columns).drop_null()
            if len(times):
                return times[:SAMPLE]
        raise BadInputError(f"{self.file.path}: the column {self.layout.time[0]!r} holds no time")

    def _time_column(self, columns: Mapping[str, Any]) -> Any:
        first = columns[self.layout.time[0]]
        if len(self.layout.time) == 1:
            return first
        texts = [pc.utf8_trim_whitespace(columns[n].cast(pa.string())) for n in self.layout.time]
        return pc.binary_join_element_wise(*texts, " ")

    def rows(
        self, low: int | None = None, high: int | None = None, only: Sequence[str] | None = None
    ) -> Iterator[Rows]:
        """Rows with ``low <= ts <= high``, unchecked. ``only`` limits the columns (``ts`` always comes)."""
        wanted = {k: v for k, v in self.layout.columns.items() if only is None or k in only}
        found = False
        for batch in self._batches(self._asked(wanted), low, high):
            rows = self._convert(batch, wanted)
            found = found or len(rows.index) > 0
            rows = rows.take(between(rows.columns["ts"], low, high))
            if len(rows.index):
                yield rows
        if not found and self.symbol is not None and self._seen:
            raise BadInputError(
                f"{self.file.path}: no row of symbol {self.symbol!r}{nearest(self.symbol, self._seen)}; "
                f"column {self.layout.symbol} has {', '.join(sorted(self._seen)[:20])}"
            )

    def _asked(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Columns to read: times, the symbol where it picks rows, and those wanted."""
        asked = dict.fromkeys(self.layout.time, "text")
        if self.symbol is not None and self.layout.symbol is not None:
            asked[self.layout.symbol] = "text"
        return asked | {v: "text" if k == "id" else "number" for k, v in wanted.items()}

    def _batches(self, asked: dict[str, str], low: int | None, high: int | None) -> Iterator[Batch]:
        if not isinstance(self.file, ParquetFile) or (low is None and high is None):
            return self.file.batches(asked)
        spans = self.spans()
        if spans is None:
            return self.file.batches(asked)
        groups = [
            g
            for g, (a, b, _) in enumerate(spans)
            if (low is None or b >= low) and (high is None or a <= high)
        ]
        return self.file.batches(asked, groups=groups)

    def spans(self) -> list[tuple[int, int, int]] | None:
        """(first, last, rows) of each row group in ns, from the file's statistics; None where unknown."""
        if not isinstance(self.file, ParquetFile) or len(self.layout.time) > 1:
            return None
        raw = self.file.spans(self.layout.time[0])
        if raw is None:
            return None
        kind = self.file.schema.field(self.layout.time[0]).type
        try:
            lows, highs = (self.rule.convert(array_of(np.array([s[i] for s in raw]), kind)) for i in (0, 1))
        except pa.ArrowInvalid:  # reading the rows finds the one at fault
            return None
        return [(int(a), int(b), s[2]) for a, b, s in zip(lows, highs, raw, strict=True)]

    def _convert(self, batch: Batch, wanted: Mapping[str, str]) -> Rows:
        columns = batch.columns
        index: range | np.ndarray = range(batch.row, batch.row + len(next(iter(columns.values()))))
        if self.symbol is not None and self.layout.symbol is not None:
            mask = self._of_symbol(columns[self.layout.symbol])
            index = np.asarray(index)[mask]
            columns = {k: v.take(array_of(np.flatnonzero(mask), pa.int64())) for k, v in columns.items()}
        result = {"ts": self._times(columns, index)}
        for canonical, actual in wanted.items():
            column = columns[actual]
            result[canonical] = _ids(column) if canonical == "id" else self._numbers(column, actual, index)
        return Rows(result, index)

    def _of_symbol(self, column: Any) -> np.ndarray:
        encoded = column.cast(pa.string()).dictionary_encode()
        words = [v or "" for v in encoded.dictionary.to_pylist()]
        self._seen.update(words)
        same = np.array(
            [names_of.normalized(v) == names_of.normalized(self.symbol or "") for v in words] + [False]
        )
        picked: np.ndarray = same[values(encoded.indices, -1)]
        return picked

    def _times(self, columns: Mapping[str, Any], index: range | np.ndarray) -> np.ndarray:
        column = self._time_column(columns)
        name = " + ".join(n or "1 (no name)" for n in self.layout.time)
        if column.null_count:
            row = int(np.flatnonzero(values(column.is_null()))[0])
            raise BadInputError(f"{self.place(index[row])}, column {name}: the time is empty")
        return self._whole(column, self.rule.convert, name, index, "is not a time like the ones before it")

    def _numbers(self, column: Any, name: str, index: range | np.ndarray) -> np.ndarray:
        scale = self.file.scale(name) if isinstance(self.file, ParquetFile) else 0
        if scale:
            return divided(values(column), scale, BATCH)
        return self._whole(column, _floats, name, index, "is not a number")

    def _whole(
        self,
        column: Any,
        convert: Callable[[Any], np.ndarray],
        name: str,
        index: range | np.ndarray,
        says: str,
    ) -> np.ndarray:
        """Convert a column; when that fails, halve it until the value at fault is found."""
        try:
            return convert(column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
            low, high = 0, len(column)
            while high - low > 1:
                middle = (low + high) // 2
                try:
                    convert(column[low:middle])
                    low = middle
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
                    high = middle
            value = column[low].as_py() if len(column) else error
            raise BadInputError(f"{self.place(index[low])}, column {name}: {value!r} {says}") from None

    def place(self, row: int) -> str:
        """File and line (or row) for a message."""
        return f"{self.file.path}, {self.file.place(int(row))}"

    @cached_property
    def first(self) -> int:
        """The first time, from the statistics where there are any."""
        spans = self.spans() if self.symbol is None else None
        return spans[0][0] if spans else int(self.head[0])

    @cached_property
    def head(self) -> np.ndarray:
        """The first times of the file, up to some 200,000."""
        first = next(self.rows(only=()), None)
        if first is None:
            raise BadInputError(f"{self.file.path}: the file has no row of data")
        return first.columns["ts"][:SAMPLE]

    def scan(self, low: int | None = None, high: int | None = None) -> Scan:
        """A look at the times (and at the volume, where the file keeps no statistics)."""
        result, volume = Scan(), "size" if self.layout.kind == "trades" else "volume"
        spans = self.spans() if self.symbol is None else None
        if spans is not None and isinstance(self.file, ParquetFile):
            self._scan_groups(result, spans, low, high)
            result.has_volume = volume in self.layout.columns and self._volume_known(volume)
            return result
        for rows in self.rows(only=(volume,)):
            result.add(rows.columns["ts"], low, high)
            result.has_volume = result.has_volume or bool((rows.columns.get(volume, np.zeros(1)) > 0).any())
        return result

    def _scan_groups(
        self, scan: Scan, spans: list[tuple[int, int, int]], low: int | None, high: int | None
    ) -> None:
        for group, (first, last, count) in enumerate(spans):
            outside = (low is not None and last < low) or (high is not None and first > high)
            inside = (low is None or first >= low) and (high is None or last <= high)
            if inside or outside:
                scan.span(first, last, count)
                if inside:
                    scan.inside(first, last, count)
                continue
            for batch in self.file.batches(dict.fromkeys(self.layout.time, "text"), [group]):
                scan.add(self._convert(batch, {}).columns["ts"], low, high)

    def _volume_known(self, volume: str) -> bool:
        file = self.file
        assert isinstance(file, ParquetFile)
        top = file.largest(self.layout.columns[volume])
        if top is not None:
            return top > 0
        return any((rows.columns[volume] > 0).any() for rows in self.rows(only=(volume,)))


def _ids(column: Any) -> np.ndarray:
    """Trade ids as int64; ids that are no numbers become a hash of their text."""
    text = column.cast(pa.string())
    try:
        return values(text.cast(pa.int64()))
    except pa.ArrowInvalid:
        hashes = (hashlib.sha256((t or "").encode()).digest() for t in text.to_pylist())
        return np.array([int.from_bytes(h[:7], "big") for h in hashes], np.int64)


def _floats(column: Any) -> np.ndarray:
    """Any numeric column as float64; text and decimals are parsed, so they equal the nearest double."""
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string()).cast(pa.float64())
    elif pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    elif not pa.types.is_float64(kind):
        column = column.cast(pa.float64(), safe=False)
    return values(column)


class Series:
    """Parts in time order as one checked stream. ``low`` and ``high`` bound the stored times (ns,
    inclusive)."""

    def __init__(self, parts: Sequence[Part], low: int | None = None, high: int | None = None) -> None:
        if not parts:
            raise ValueError("a series has at least one part")
        self.kind = parts[0].layout.kind
        self.low, self.high = low, high
        self._scans = [(part, part.scan(low, high)) for part in in_order(parts)]
        self._refuse_overlap()
        self.scan = _together([s for _, s in self._scans])

    def _refuse_overlap(self) -> None:
        for (before, a), (part, b) in pairwise(self._scans):
            if b.all_first < a.all_last:
                raise BadInputError(
                    f"{part.file.path} begins at {iso(b.all_first)}, before {before.file.path} ends "
                    f"({iso(a.all_last)}): name one of them, or join them with sigma data import"
                )

    def chunks(self) -> Iterator[Columns]:
        """Checked columns: complete (sizes and volume default to zero), sorted, of at most 65,536 rows."""
        needed = (*names_of.REQUIRED[self.kind], *names_of.OPTIONAL[self.kind])
        previous: int | None = None
        for part, scan in self._scans:
            if scan.rows == 0:
                continue
            for rows in part.rows(self.low, self.high, only=needed):
                fill_in(self.kind, rows.columns)
                check(part, self.kind, rows, previous)
                previous = int(rows.columns["ts"][-1])
                for start in range(0, len(rows.index), BATCH):
                    yield {k: v[start : start + BATCH] for k, v in rows.columns.items()}


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Parts by their first time."""
    return sorted(parts, key=lambda part: part.first) if len(parts) > 1 else list(parts)


def names_in(parts: Sequence[Part]) -> str:
    """The files for a message."""
    return ", ".join(str(part.file.path) for part in parts[:3]) + (" ..." if len(parts) > 3 else "")


def short(parts: Sequence[Part]) -> str:
    """The files for a warning, which is kept with the result: names without this machine's folders."""
    return ", ".join(part.file.path.name for part in parts[:3]) + (" ..." if len(parts) > 3 else "")


def _together(scans: Sequence[Scan]) -> Scan:
    total = Scan()
    for scan in scans:
        if scan.all_rows:
            total.span(scan.all_first, scan.all_last, scan.all_rows)
        if scan.rows:
            total.inside(scan.first, scan.last, scan.rows)
        total.has_volume = total.has_volume or scan.has_volume
    return total


def fill_in(kind: str, columns: Columns) -> None:
    """Columns a file may lack: sizes and volume are zero, a tick's low and high are its last price."""
    count = len(columns["ts"])
    for name in names_of.OPTIONAL[kind]:
        if name in ("low", "high"):
            columns.setdefault(name, columns["last"])
        elif name not in columns:
            columns[name] = np.zeros(count)


def check(part: Part, kind: str, rows: Rows, previous: int | None) -> None:
    """Raise BadInputError at the first row that breaks a rule, goes back in time or repeats a bar's time."""
    ts = rows.columns["ts"]
    unique = kind in ("bars", "ticks")
    before = np.concatenate([[previous if previous is not None else ts[0] - 1], ts[:-1]])
    late = ts <= before if unique else ts < before
    if late.any():
        raise _out_of_order(part, rows, int(np.flatnonzero(late)[0]), before)
    if not healthy(kind, rows.columns):
        raise fault_error(part, kind, rows)


def fault_error(part: Part, kind: str, rows: Rows) -> BadInputError:
    """The error for the first row that breaks a rule."""
    fault = first_fault(kind, rows.columns)
    if fault is None:
        raise AssertionError(f"{kind}: a row is not healthy and no rule says why")
    rule, row = fault
    return BadInputError(
        f"{part.place(rows.index[row])}, column {part.layout.columns.get(rule.column, rule.column)}: "
        f"{describe(rule, rows.columns, row)}; correct the row, or leave such rows out with "
        f"sigma data import --drop-bad {part.file.path}"
    )


def _out_of_order(part: Part, rows: Rows, row: int, before: np.ndarray) -> BadInputError:
    ts, place = rows.columns["ts"], part.place(rows.index[row])
    name = " + ".join(n or "1 (no name)" for n in part.layout.time)
    if ts[row] == before[row]:
        return BadInputError(
            f"{place}, column {name}: duplicate time {iso(ts[row])}; each time comes once: "
            f"sigma data import {part.file.path} drops rows that are the same throughout"
        )
    return BadInputError(
        f"{place}, column {name}: not sorted by time: {iso(ts[row])} comes after {iso(before[row])}; "
        f"sort the file, or let sigma data import {part.file.path} sort it"
    )
