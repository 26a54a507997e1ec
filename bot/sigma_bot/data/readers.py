"""Files as batches of Arrow columns: CSV by blocks, Parquet by row groups. Memory stays flat whatever the
size."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from sigma_bot.errors import BadInputError

BLOCK = 8 << 20
SMALL_FILE = 96 << 20  # parsed once and kept; a larger file is read twice, in blocks
BATCH = 1 << 16
CSV_ENDINGS = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".csv.zst", ".txt.zst", ".tsv.zst")
PARQUET_ENDINGS = (".parquet", ".pq")
NULLS = ["", "NaN", "nan", "NAN", "null", "NULL", "None", "NA", "N/A", "-"]


@dataclass(frozen=True)
class Batch:
    """Columns of consecutive rows; ``row`` is the place of the first one in the file, counted from 0."""

    row: int
    columns: dict[str, Any]


class DataFile(Protocol):
    """A file of named columns."""

    path: Path
    names: list[str]

    def batches(self, columns: Mapping[str, str], groups: Sequence[int] | None = None) -> Iterator[Batch]:
        """Batches of the named columns; the values of ``columns`` say text or number. ``groups`` picks row
        groups where the format has them."""

    def expect(self, columns: Mapping[str, str]) -> None:
        """Columns that will be asked for."""

    def place(self, row: int) -> str:
        """Where a row is, in the words of the file's format."""


def is_data_file(path: Path) -> bool:
    """Whether the name's ending is one that is read."""
    return path.name.lower().endswith(CSV_ENDINGS + PARQUET_ENDINGS)


def open_file(path: Path) -> DataFile:
    """A reader for the file, chosen by its ending. Raises BadInputError when it is absent, empty or
    unreadable."""
    if not path.exists():
        raise BadInputError(f"{path}: no such file; give the path of a CSV or Parquet file")
    if not is_data_file(path):
        raise BadInputError(f"{path}: unknown ending; read are {', '.join(CSV_ENDINGS + PARQUET_ENDINGS)}")
    try:
        if path.stat().st_size == 0:
            raise BadInputError(
                f"{path}: the file is empty; it needs a header row and at least one row of data"
            )
        if path.name.lower().endswith(PARQUET_ENDINGS):
            return ParquetFile(path)
        return CsvFile(path)
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from None


class CsvFile:
    """CSV, also gzip or zstd. The header shows the separator; a first row of numbers is no header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        head = [line for line in self._head().splitlines() if line.strip()]
        if not head:
            raise BadInputError(
                f"{path}: the file is empty; it needs a header row and at least one row of data"
            )
        packed = 4 if path.suffix.lower() in (".gz", ".zst") else 1
        self._small = path.stat().st_size * packed <= SMALL_FILE
        self._table: Any = None
        self._expected: dict[str, str] = {}
        self.line_bytes = sum(len(line) + 1 for line in head) / len(head)
        self.separator = max(",;\t|", key=head[0].count)
        first = next(csv.reader([head[0]], delimiter=self.separator))
        self.header = not _numbers(first)
        names = [n.strip() for n in first] if self.header else [str(i + 1) for i in range(len(first))]
        if self.header and len(head) > 1:
            names = _split_time(names, next(csv.reader([head[1]], delimiter=self.separator)))
        if self.header and len(head) == 1:
            raise BadInputError(f"{path}: the file has a header and no row of data")
        self.names = names

    def _head(self) -> str:
        try:
            with pa.input_stream(str(self.path), compression="detect") as stream:
                raw = stream.read(1 << 16)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInputError(f"{self.path}: cannot be read: {error}") from None
        text: str = raw.decode("utf-8-sig", errors="replace")
        return text if len(raw) < 1 << 16 else text[: text.rfind("\n")]

    def expect(self, columns: Mapping[str, str]) -> None:
        """Columns that will be asked for: a small file is parsed once for all of them."""
        self._expected |= columns

    def batches(self, columns: Mapping[str, str], groups: Sequence[int] | None = None) -> Iterator[Batch]:
        """Blocks of the file; those of a small one come from memory. A CSV file has no row groups."""
        del groups
        try:
            row = 0
            for batch in self._held(columns) if self._small else self._blocks(columns):
                yield Batch(row, dict(zip(batch.schema.names, batch.columns, strict=True)))
                row += batch.num_rows
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise self._explain(error, {**columns, **self._expected}) from None
        except OSError as error:
            raise BadInputError(f"{self.path}: cannot be read on: {error}") from None

    def _held(self, columns: Mapping[str, str]) -> Iterator[Any]:
        from pyarrow import csv as arrow_csv

        if self._table is None or not set(columns) <= set(self._table.column_names):
            self._expected |= columns
            with pa.input_stream(str(self.path), compression="detect") as stream:
                self._table = arrow_csv.read_csv(stream, *self._options(self._expected, True))
        return iter(self._table.select(list(columns)).to_batches(max_chunksize=BATCH))

    def _blocks(self, columns: Mapping[str, str]) -> Iterator[Any]:
        from pyarrow import csv as arrow_csv

        stream = pa.input_stream(str(self.path), compression="detect")
        return iter(arrow_csv.open_csv(stream, *self._options(columns, False)))

    def _options(self, columns: Mapping[str, str], threads: bool) -> tuple[Any, Any, Any]:
        from pyarrow import csv as arrow_csv

        return (
            arrow_csv.ReadOptions(
                use_threads=threads, block_size=BLOCK, column_names=self.names, skip_rows=int(self.header)
            ),
            arrow_csv.ParseOptions(delimiter=self.separator),
            arrow_csv.ConvertOptions(
                column_types={n: pa.string() if k == "text" else pa.float64() for n, k in columns.items()},
                include_columns=list(columns),
                null_values=NULLS,
                strings_can_be_null=True,
            ),
        )

    def place(self, row: int) -> str:
        """The line of a row of data, counted from 1 as editors do."""
        for number, _ in self._rows():
            if row == 0:
                return f"line {number}"
            row -= 1
        return "the last line"

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        with pa.input_stream(str(self.path), compression="detect") as stream:
            reader = csv.reader(
                io.TextIOWrapper(stream, "utf-8-sig", errors="replace"), delimiter=self.separator
            )
            rows = (row for row in reader if row)
            if self.header:
                next(rows, None)
            for row in rows:
                yield reader.line_num, row

    def _explain(self, error: Exception, columns: Mapping[str, str]) -> BadInputError:
        """The first row that does not parse, found by reading again: Arrow's message has no line number."""
        wanted = [(self.names.index(name), name) for name, kind in columns.items() if kind != "text"]
        for line, row in self._rows():
            if len(row) != len(self.names):
                return BadInputError(
                    f"{self.path}, line {line}: {len(row)} fields where the header has {len(self.names)}"
                )
            for index, name in wanted:
                if row[index].strip() not in NULLS and not _numbers([row[index]]):
                    return BadInputError(
                        f"{self.path}, line {line}, column {name}: {row[index]!r} is not a number"
                    )
        return BadInputError(f"{self.path}: {error}")


def estimate_rows(file: DataFile) -> int:
    """Rows of a file, for a progress bar: exact for Parquet, from the length of the first lines for CSV."""
    if isinstance(file, ParquetFile):
        return file.rows
    packed = 1 if file.path.suffix.lower() not in (".gz", ".zst") else 4
    return int(file.path.stat().st_size * packed / max(getattr(file, "line_bytes", 50.0), 1.0))


def _numbers(fields: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(field)) for field in fields)
    except ValueError:
        return False


def _split_time(names: list[str], row: Sequence[str]) -> list[str]:
    """Some exports write date and time as two fields under one heading ``Date``: name the second one."""
    if len(row) == len(names) + 1 and len(row) > 1 and ":" in row[1] and ":" not in row[0]:
        return [names[0], "Time", *names[1:]]
    return names


class ParquetFile:
    """Parquet, without memory map or read-ahead, so that a file's pages never count as the process's
    memory."""

    def __init__(self, path: Path, source: BinaryIO | None = None) -> None:
        """``source``: where the file's bytes come from when ``path`` is only its name."""
        from pyarrow import parquet

        self.path = path
        try:
            self._file = parquet.ParquetFile(source or str(path), memory_map=False, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInputError(f"{path}: not a readable Parquet file: {first}") from None
        self.schema = self._file.schema_arrow
        self.names = list(self.schema.names)
        if self._file.metadata.num_rows == 0:
            raise BadInputError(f"{path}: the file is empty (no rows)")

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return int(self._file.metadata.num_rows)

    def expect(self, columns: Mapping[str, str]) -> None:
        """Nothing to prepare: columns are read apart."""

    def scale(self, name: str) -> int:
        """The divisor of a column stored as scaled integers; 0 for a plain column."""
        metadata = self.schema.field(name).metadata or {}
        return int(metadata.get(b"sigma.scale", b"0"))

    @cached_property
    def tag(self) -> dict[str, str]:
        """What ``sigma data import`` noted about the file; empty for a file of other origin."""
        raw = self.schema.metadata or {}
        return {k.decode()[6:]: v.decode() for k, v in raw.items() if k.startswith(b"sigma.")}

    def spans(self, name: str) -> list[tuple[int, int, int]] | None:
        """(first, last, rows) of an int64 column's row groups from their statistics; None where there are
        none."""
        index, found = self.names.index(name), []
        for group in range(self._file.num_row_groups):
            column = self._file.metadata.row_group(group).column(index)
            stats = column.statistics
            if column.physical_type != "INT64" or stats is None or not stats.has_min_max:
                return None
            low, high = stats.min_raw, stats.max_raw
            found.append((int(low), int(high), int(stats.num_values)))
        return found

    def largest(self, name: str) -> float | None:
        """The largest value of a column by the statistics; None where they are missing."""
        index, metadata, tops = self.names.index(name), self._file.metadata, []
        for group in range(self._file.num_row_groups):
            stats = metadata.row_group(group).column(index).statistics
            if stats is None or not stats.has_min_max or not isinstance(stats.max, int | float):
                return None
            tops.append(float(stats.max))
        return max(tops)

    def batches(self, columns: Mapping[str, str], groups: Sequence[int] | None = None) -> Iterator[Batch]:
        """Batches of up to 65,536 rows; ``groups`` picks row groups."""
        picked = list(range(self._file.num_row_groups)) if groups is None else list(groups)
        try:
            row = 0
            for group in range(self._file.num_row_groups):
                size = self._file.metadata.row_group(group).num_rows
                if group in picked:
                    yield from self._group(group, row, columns)
                row += size
        except (pa.ArrowException, OSError) as error:
            raise BadInputError(f"{self.path}: cannot be read on: {str(error).splitlines()[0]}") from None

    def _group(self, group: int, row: int, columns: Mapping[str, str]) -> Iterator[Batch]:
        for batch in self._file.iter_batches(BATCH, [group], list(columns), use_threads=True):
            yield Batch(row, dict(zip(batch.schema.names, batch.columns, strict=True)))
            row += batch.num_rows

    def place(self, row: int) -> str:
        """A row's number, counted from 1."""
        return f"row {row + 1}"
