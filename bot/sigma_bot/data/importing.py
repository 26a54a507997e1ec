"""``sigma data import``: files in any order into the catalogue, sorted, checked, without repeated rows.

Rows are first dealt out to one spill file per catalogue file, so memory holds one day (month, year) at a
time however large the input and whatever its order. Nothing is moved into the catalogue before everything
is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sigma_bot.data.build import TICK_FIELDS, stream_ticks
from sigma_bot.data.catalogue_entries import Catalogue, Entry, Staging
from sigma_bot.data.columns import detect
from sigma_bot.data.readers import DataFile, open_file
from sigma_bot.data.rules import Columns, faults, healthy
from sigma_bot.data.series import Part, fault_error, fill_in, names_in
from sigma_bot.data.sources import bar_shape
from sigma_bot.errors import BadInputError
from sigma_bot.times import iso

STORED: dict[str, tuple[str, ...]] = {
    "bars": ("ts", "open", "high", "low", "close", "volume"),
    "quotes": ("ts", "bid", "ask", "bid_size", "ask_size"),
    "trades": ("ts", "price", "size", "id"),
    "ticks": TICK_FIELDS,
}
EVENTS = ("quotes", "trades")
SOURCE = "source"  # which input a spilled row came from


@dataclass(frozen=True)
class Options:
    """What the user said about the files. ``kind`` is what is stored."""

    catalogue: Catalogue
    venue: str = "local"
    symbol: str | None = None
    kind: str = "auto"
    timeframe: int | None = None
    stamps: str = "auto"
    timezone: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    drop_bad: bool = False
    replace: bool = False


@dataclass
class Imported:
    """What became of one symbol's rows."""

    entry: Entry
    read: int = 0
    stored: int = 0
    duplicates: int = 0
    dropped: int = 0
    out_of_order: int = 0
    files: int = 0
    start: int = 0
    end: int = 0


def import_files(
    paths: Sequence[Path],
    options: Options,
    warnings: list[str],
    progress: Callable[[int], None] = lambda _: None,
) -> list[Imported]:
    """Import files; those of one symbol and kind are joined, quotes and trades of a symbol together become
    ticks.

    ``progress`` is told how many rows each step read. Raises BadInputError and leaves the catalogue as it
    was.
    """
    by_symbol: dict[str, list[Part]] = {}
    for path in paths:
        file = open_file(path)
        for symbol, part in _parts_of(file, options):
            by_symbol.setdefault(symbol, []).append(part)
    results = []
    with options.catalogue.staging() as staging:
        for symbol, parts in by_symbol.items():
            results += _import_symbol(symbol, parts, options, staging, warnings, progress)
        staging.commit()
    return results


def _parts_of(file: DataFile, options: Options) -> Iterator[tuple[str, Part]]:
    asked = options.kind if options.kind in ("bars", "quotes", "trades") else "auto"
    layout = detect(file.names, str(file.path), asked, options.columns)
    if options.symbol is not None:
        yield options.symbol, Part(file, layout, options.timezone, options.symbol)
    elif layout.symbol is not None:
        for symbol in symbols_in(file, layout.symbol):
            yield symbol, Part(file, layout, options.timezone, symbol)
    else:
        raise BadInputError(f"{file.path}: no column says the symbol; name it with --symbol")


def symbols_in(file: DataFile, column: str) -> list[str]:
    """The distinct values of a symbol column, in order of appearance."""
    seen: dict[str, None] = {}
    for batch in file.batches({column: "text"}):
        seen.update(dict.fromkeys(batch.columns[column].cast(pa.string()).unique().to_pylist()))
    return [s for s in seen if s]


def _import_symbol(
    symbol: str,
    parts: Sequence[Part],
    options: Options,
    staging: Staging,
    warnings: list[str],
    progress: Callable[[int], None],
) -> list[Imported]:
    by_kind: dict[str, list[Part]] = {}
    for part in parts:
        by_kind.setdefault(part.layout.kind, []).append(part)
    if {"quotes", "trades"} <= by_kind.keys() or options.kind == "ticks":
        events: dict[str, list[Part]] = {k: by_kind.pop(k) for k in EVENTS if k in by_kind}
        found = [_events_to_ticks(symbol, events, options, staging, progress)] if events else []
    else:
        found = []
    for kind, group in by_kind.items():
        timeframe = shift = 0
        if kind == "bars":
            shape = bar_shape(group, options.timeframe, options.stamps, warnings)
            timeframe, shift = shape.timeframe, shape.shift
        result = Imported(Entry(options.venue, symbol, kind, timeframe))
        spill = Spill(staging, result.entry)
        spill.add(_checked(group, shift, options.drop_bad, result, progress))
        _store(spill, result, options, staging)
        found.append(result)
    return found


def _checked(
    parts: Sequence[Part], shift: int, drop_bad: bool, result: Imported, progress: Callable[[int], None]
) -> Iterator[Columns]:
    """Rows of the inputs in their own order, numbered by input; bad rows are left out or end the import."""
    read, dropped = result.read, result.dropped
    for number, part in enumerate(parts):
        kind, previous = part.layout.kind, None
        for rows in part.rows():
            result.read += len(rows.index)
            progress(len(rows.index))
            fill_in(kind, rows.columns)
            if not healthy(kind, rows.columns):
                if not drop_bad:
                    raise fault_error(part, kind, rows)
                bad = np.unique(np.concatenate([rows_ for _, rows_ in faults(kind, rows.columns)]))
                result.dropped += len(bad)
                rows = rows.take(np.delete(np.arange(len(rows.index)), bad))  # noqa: PLW2901
            ts = rows.columns["ts"]
            if not len(ts):
                continue
            result.out_of_order += int(
                (np.diff(ts, prepend=previous if previous is not None else ts[0]) < 0).sum()
            )
            previous = ts[-1]
            columns = {name: rows.columns[name] for name in STORED[kind] if name in rows.columns}
            if shift:
                columns["ts"] = ts - shift
            yield {**columns, SOURCE: np.full(len(ts), number, np.int64)}
    if drop_bad and result.read > read and result.read - read == result.dropped - dropped:
        raise BadInputError(
            f"{names_in(parts)}: all {result.read - read:,} rows are bad, so none is left to store; "
            "without --drop-bad the first fault is named"
        )


class Spill:
    """Rows dealt out to one temporary file per date; arrays follow each other in the file as ``numpy.save``
    writes."""

    def __init__(self, staging: Staging, entry: Entry) -> None:
        self._staging, self._entry = staging, entry
        self._folder = Path(tempfile.mkdtemp(dir=staging.folder))

    def add(self, chunks: Iterator[Columns]) -> None:
        """Deal out rows."""
        for chunk in chunks:
            dates = self._entry.dates(chunk["ts"])
            cuts = np.flatnonzero(dates[1:] != dates[:-1]) + 1
            for start, end in zip([0, *cuts], [*cuts, len(dates)], strict=True):
                self._append(dates[start], {n: v[start:end] for n, v in chunk.items()})

    def _append(self, date: Any, columns: Columns) -> None:
        try:
            with (self._folder / str(date)).open("ab") as file:
                for name, values in columns.items():
                    np.save(file, np.array([name]))
                    np.save(file, values)
        except OSError as error:
            raise self._staging.disk_error(error) from None

    def dates(self) -> list[str]:
        """The dates with rows, in order."""
        return sorted(p.name for p in self._folder.iterdir())

    def load(self, date: str) -> Columns:
        """All rows of a date in the order they came."""
        pieces: dict[str, list[np.ndarray]] = {}
        path = self._folder / date
        size = path.stat().st_size
        with path.open("rb") as file:
            while file.tell() < size:
                name = str(np.load(file)[0])
                pieces.setdefault(name, []).append(np.load(file))
        return {name: np.concatenate(values) for name, values in pieces.items()}


def sort_and_join(kind: str, rows: Columns) -> tuple[Columns, int]:
    """Rows sorted by time without repeats, and how many were repeated.

    Bars, ticks and trades with an id: equal rows are one row. Quotes and trades without an id: equal rows
    of one input are different events, so of each row as many are kept as the input with the most of them
    has. Raises BadInputError where two different bars or ticks have one time.
    """
    names = [n for n in rows if n != SOURCE]
    count = len(rows["ts"])
    if _nothing_to_do(kind, rows):
        return {n: rows[n] for n in names}, 0
    # sort by all columns, then source: equal rows come together, those of one source beside each other
    order = np.lexsort([np.arange(count), rows[SOURCE], *(rows[n] for n in reversed(names))])
    fresh = np.zeros(count, bool)
    fresh[0] = True
    for n in names:
        fresh[1:] |= rows[n][order][1:] != rows[n][order][:-1]
    group = np.cumsum(fresh) - 1
    source = rows[SOURCE][order]
    if _counted(kind, rows):
        run = fresh.copy()
        run[1:] |= source[1:] != source[:-1]
        starts = np.flatnonzero(run)
        number = np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count)))
    else:
        number = np.zeros(count, np.int64)
    by_number = np.lexsort([np.arange(count), number, group])
    first = np.ones(count, bool)
    first[1:] = (np.diff(group[by_number]) != 0) | (np.diff(number[by_number]) != 0)
    kept = np.sort(order[by_number[first]])
    kept = kept[np.lexsort([kept, rows[SOURCE][kept], rows["ts"][kept]])]
    result = {n: rows[n][kept] for n in names}
    if kind in ("bars", "ticks"):
        _refuse_conflict(kind, result)
    return result, count - len(kept)


def _counted(kind: str, rows: Columns) -> bool:
    """Whether equal rows of one input are different events."""
    return kind == "quotes" or (kind == "trades" and "id" not in rows)


def _nothing_to_do(kind: str, rows: Columns) -> bool:
    """The usual case, found cheaply: sorted already, and nothing can be repeated."""
    steps = np.diff(rows["ts"])
    if (steps > 0).all():
        return True
    return bool((steps >= 0).all() and _counted(kind, rows) and (rows[SOURCE] == rows[SOURCE][0]).all())


def _refuse_conflict(kind: str, rows: Columns) -> None:
    twice = np.flatnonzero(np.diff(rows["ts"]) == 0)
    if not len(twice):
        return
    i = int(twice[0])
    name = next(n for n in rows if n != "ts" and rows[n][i] != rows[n][i + 1])
    raise BadInputError(
        f"two different {kind} for {iso(rows['ts'][i])}: {name} {float(rows[name][i])!r} and "
        f"{float(rows[name][i + 1])!r}; keep one of them, or replace what was imported before with --replace"
    )


def _store(spill: Spill, result: Imported, options: Options, staging: Staging) -> None:
    entry = result.entry
    tag = {
        "kind": entry.kind,
        "symbol": entry.symbol,
        "venue": entry.venue,
        "timeframe": str(entry.timeframe),
    }
    for date in spill.dates():
        rows = spill.load(date)
        old = 0
        if not options.replace and (stored := staging.stored(entry, date)) is not None:
            rows, old = _with_stored(stored, entry, rows)
        rows, repeated = sort_and_join(entry.kind, rows)
        result.duplicates += repeated
        result.stored += len(rows["ts"]) - old
        result.files += 1
        result.start = int(rows["ts"][0]) if result.files == 1 else result.start
        result.end = int(rows["ts"][-1])
        staging.write(entry, date, rows, tag)


def _with_stored(file: DataFile, entry: Entry, rows: Columns) -> tuple[Columns, int]:
    """New rows behind those the catalogue has already."""
    part = Part(file, detect(file.names, str(file.path), entry.kind), None, None)
    stored = [r.columns for r in part.rows()]
    old = {n: np.concatenate([c[n] for c in stored]) for n in stored[0]}
    old[SOURCE] = np.full(len(old["ts"]), -1, np.int64)
    if rows.keys() != old.keys():
        raise BadInputError(
            f"{file.path}: has the columns {', '.join(sorted(old.keys() - {SOURCE}))} and the new rows have "
            f"{', '.join(sorted(rows.keys() - {SOURCE}))}; import with --replace"
        )
    return {n: np.concatenate([old[n], rows[n]]) for n in old}, len(old["ts"])


def _events_to_ticks(
    symbol: str,
    events: Mapping[str, Sequence[Part]],
    options: Options,
    staging: Staging,
    progress: Callable[[int], None],
) -> Imported:
    result = Imported(Entry(options.venue, symbol, "ticks"))
    streams: dict[str, Iterator[Columns] | None] = {"quotes": None, "trades": None}
    for kind, parts in events.items():
        spill = Spill(staging, Entry(options.venue, symbol, kind))
        spill.add(_checked(parts, 0, options.drop_bad, result, progress))
        streams[kind] = _sorted_days(spill, kind, result)
    ticks = Spill(staging, result.entry)
    built = stream_ticks(streams["quotes"], streams["trades"])
    ticks.add({**c, SOURCE: np.zeros(len(c["ts"]), np.int64)} for c in built)
    _store(ticks, result, options, staging)
    return result


def _sorted_days(spill: Spill, kind: str, result: Imported) -> Iterator[Columns]:
    for date in spill.dates():
        rows, repeated = sort_and_join(kind, spill.load(date))
        result.duplicates += repeated
        yield rows
