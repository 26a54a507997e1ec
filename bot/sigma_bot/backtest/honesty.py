"""Does a strategy know the future, and does its warm-up suffice? Asked by running it on less data.

*Cut*: the data end early. Whatever was decided before the cut must be decided again, to the last digit; what
differs was decided with knowledge of later rows (or at random).

*Late start*: the data begin later, and two runs are compared that may both trade only from the same instant
on, the end of the later one's warm-up: one saw all the history, the other only the warm-up. Both are flat
until then, so they decide alike when the warm-up is long enough for whatever the strategy remembers.

*Reads*: a strategy that opens its own market data while it runs knows every row of them from the start. Every
replay would agree about that, so the opening itself is what is reported.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.replay import Replay, open_replay
from sigma_bot.backtest.session import Recorder
from sigma_bot.backtest.tester import Engine, lots_used
from sigma_bot.data.catalogue import catalogue_place, in_database
from sigma_bot.data.readers import is_data_file
from sigma_bot.data.sources import sample_file
from sigma_bot.engine.types import E_CANCEL, E_MODIFY, E_NEW, E_REJECT, R_STRATEGY
from sigma_bot.runtime.loader import LoadedStrategy, load_strategy, shown
from sigma_bot.spec import Backtest
from sigma_bot.times import DAY, HOUR, MINUTE, SECOND

CUTS = 8
SHIFTS = (0.125, 0.25, 0.5)
COMPARED = ("ts", "kind", "symbol", "side", "order_type", "tif", "lots", "price", "stop", "reason")
# An average that never forgets wholly differs in the last digits for long; an order that differs by less
# than this is the same decision. Cuts are compared to the last digit.
TOLERANCE = 1e-6
UNSEEN = frozenset(
    ("pyarrow", "polars", "duckdb", "h5py", "tables", "sqlite3", "requests", "httpx", "urllib")
)

Rows = NDArray[np.void]
Kind = Literal["read", "repeat", "cut", "start"]


@dataclass(frozen=True)
class Finding:
    """One way in which the strategy depends on what it must not know.

    ``at`` is the cut or the later start (ns), ``time`` that of the first decision that differs, ``full`` and
    ``part`` this decision in the run on all data and in the one on part of them (None: there is none).
    """

    kind: Kind
    at: int
    time: int
    full: Rows | None = None
    part: Rows | None = None
    text: str = ""


@dataclass(frozen=True)
class Honesty:
    """What was found. ``warmup`` is the declared one, ``enough`` one that makes every late start agree (ns;
    None when it was not asked for or none was found)."""

    name: str
    symbols: tuple[str, ...]
    lot_sizes: tuple[Decimal, ...]
    findings: tuple[Finding, ...]
    decisions: int
    cuts: tuple[int, ...]
    shifts: tuple[int, ...]
    warmup: int
    enough: int | None
    engine: str
    notes: tuple[str, ...]

    @property
    def honest(self) -> bool:
        """Nothing was found."""
        return not self.findings


class Decisions(Recorder):
    """Keeps what the strategy decided from ``since`` (ns) on: orders sent, changed and cancelled, refused
    ones too."""

    def __init__(self, since: int) -> None:
        super().__init__()
        self.since = since

    def take(self, events: Rows, samples: Rows) -> None:
        """Copy the decisions out of the queue."""
        del samples
        kind = events["kind"]
        chosen = np.isin(kind, (E_NEW, E_REJECT, E_MODIFY)) | (
            (kind == E_CANCEL) & (events["reason"] == R_STRATEGY)
        )
        chosen &= events["ts"] >= self.since
        if chosen.any():
            self.events.append(events[chosen])


def check_honesty(manifest: Backtest, base: Path, engine: Engine = "auto") -> Honesty:
    """Run the backtest whole and in parts and compare. Raises what ``run_backtest`` raises."""
    with watched(data_files(manifest, base)) as watch:
        probe = Probe(open_replay(manifest, base, engine), base)
        full = probe.run(None, None)
        cuts, shifts = cuts_of(probe, full), shifts_of(probe)
        findings = list(repeated(probe, full)) or cut_findings(probe, full, cuts)
        enough = None
        # what decides at random or by the future differs after a late start too: it says nothing new then
        if not findings:
            late = [f for shift in shifts if (f := late_finding(probe, shift, probe.warmup)) is not None]
            findings = late[:1]
            enough = enough_warmup(probe, shifts) if late else None
    return Honesty(
        name=manifest.metadata.name,
        symbols=probe.replay.market.symbols,
        lot_sizes=probe.lot_sizes,
        findings=(*watch.reads.values(), *findings),
        decisions=len(full),
        cuts=tuple(cuts),
        shifts=tuple(shifts),
        warmup=probe.warmup,
        enough=enough,
        engine="compiled" if probe.replay.compiled else "interpreted",
        notes=(*watch.others.values(), *notes_of(probe, full, shifts)),
    )


class Probe:
    """Runs the backtest on part of its rows."""

    def __init__(self, replay: Replay, base: Path) -> None:
        self.replay, self.base = replay, base
        self.clock = "end" if replay.market.kind == "bar" else "ts"
        self.warmup = replay.manifest.spec.warmup.ns
        self.lot_sizes: tuple[Decimal, ...] = ()  # of the last run

    def run(self, first: int | None, last: int | None, trading_from: int | None = None) -> Rows:
        """The decisions on rows from ``first`` to ``last`` (ns, inclusive), those before ``trading_from``
        refused and left out."""
        replay = self.replay
        if not replay.compiled:
            # what a module keeps in globals must not pass from one run to the next
            loaded = load_strategy(replay.manifest.spec.strategy, self.base)
            replay = replace(replay, loaded=loaded)
        kept: list[Decisions] = []

        def recorder() -> Decisions:
            kept.append(Decisions(-(2**63) if trading_from is None else trading_from))
            return kept[-1]

        session = replay.run(
            replay.strategy({}), recorder, self.replay.market.part(first, last), trading_from
        )
        self.lot_sizes = tuple(lots_used(session.finish()[1]))
        return kept[-1].all_events()

    def time_at(self, fraction: float) -> int:
        """Time of the row at a fraction of all rows."""
        market = self.replay.market
        place = int(fraction * market.rows)
        for chunk in market.chunks():
            if place < len(chunk[self.clock]):
                return int(chunk[self.clock][place])
            place -= len(chunk[self.clock])
        return market.end


# ---- comparing


def first_difference(full: Rows, part: Rows, tolerance: float = 0.0) -> int | None:
    """Index of the first decision that differs, or None."""
    size = min(len(full), len(part))
    same = np.ones(size, bool)
    for name in COMPARED:
        a, b = full[name][:size], part[name][:size]
        if tolerance and name in ("lots", "price", "stop"):
            near = np.abs(a - b) <= tolerance * np.maximum(np.abs(a), np.abs(b))
            same &= near | (np.abs(a - b) <= 1) if name == "lots" else near
        else:
            same &= a == b
    if not same.all():
        return int(np.argmin(same))
    return None if len(full) == len(part) else size


def finding_of(kind: Kind, at: int, full: Rows, part: Rows, tolerance: float = 0.0) -> Finding | None:
    """The first difference as a finding."""
    place = first_difference(full, part, tolerance)
    if place is None:
        return None
    mine, other = (rows[place : place + 1] if place < len(rows) else None for rows in (full, part))
    times = [int(rows["ts"][0]) for rows in (mine, other) if rows is not None]
    time = min(times)
    # the later of the two has not been reached when the earlier one is decided
    return Finding(
        kind,
        at,
        time,
        mine if mine is not None and int(mine["ts"][0]) == time else None,
        other if other is not None and int(other["ts"][0]) == time else None,
    )


def repeated(probe: Probe, full: Rows) -> Iterator[Finding]:
    """The same data once more: a strategy that decides at random makes every other question pointless."""
    found = finding_of("repeat", probe.replay.market.end, full, probe.run(None, None))
    if found is not None:
        yield found


def cuts_of(probe: Probe, full: Rows) -> list[int]:
    """Up to eight times to end the data at. Each is the time of a decision: nothing later than the row that
    it was made on may be behind it. Without decisions there is nothing to compare."""
    times = np.unique(full["ts"])
    times = times[times < probe.replay.market.end]
    if len(times) == 0:
        return []
    places = np.unique(np.linspace(0, len(times) - 1, CUTS).astype(np.int64))
    return list(times[places].tolist())


def cut_findings(probe: Probe, full: Rows, cuts: Sequence[int]) -> list[Finding]:
    """The earliest difference of all cuts; one lookahead shows in many of them."""
    found = []
    for cut in cuts:
        before = full[full["ts"] <= cut]
        part = probe.run(None, cut)
        difference = finding_of("cut", cut, before, part[part["ts"] <= cut])
        if difference is not None:
            found.append(difference)
    return sorted(found, key=lambda f: (f.time, f.at))[:1]


# ---- late starts


def shifts_of(probe: Probe) -> list[int]:
    """Times to start at, later than the data do, that leave as much again behind the warm-up."""
    starts = (probe.time_at(f) for f in SHIFTS)
    return [t for t in starts if t + 2 * probe.warmup < probe.replay.market.end]


def late_finding(probe: Probe, start: int, warmup: int) -> Finding | None:
    """Compare a run from ``start`` on with the one on all data, both free to trade after ``warmup``."""
    free = start + warmup
    full = probe.run(None, None, free)
    part = probe.run(start, None, free)
    return finding_of("start", start, full, part, TOLERANCE)


def enough_warmup(probe: Probe, shifts: Sequence[int]) -> int | None:
    """The shortest warm-up (ns, to about a tenth) with which every late start agrees: doubled until it does,
    then bisected. None when half of what lies behind the latest start is not enough."""
    market = probe.replay.market

    def settled(warmup: int) -> bool:
        return all(late_finding(probe, shift, warmup) is None for shift in shifts)

    step = max(market.timeframe, (market.end - market.start) // 10_000, 1)
    most = (market.end - max(shifts)) // 2
    low, high = probe.warmup, min(max(2 * probe.warmup, step), most)
    while not settled(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > max(step, high // 10):
        middle = (low + high) // 2
        if settled(middle):
            high = middle
        else:
            low = middle
    neat = rounded(high)
    return neat if neat <= most and settled(neat) else high


def rounded(ns: int) -> int:
    """Up to a whole number of the largest unit that keeps it within a tenth."""
    for unit in (DAY, HOUR, MINUTE, SECOND):
        up = -(-ns // unit) * unit
        if up <= ns * 1.1:
            return up
    return ns


# ---- files that the strategy reads


class _Watch:
    """What to look for and what has been seen; ``files`` is None while nobody looks. Audit hooks stay for the
    life of the process, so there is one, and it asks here."""

    files: frozenset[Path] | None = None
    reads: dict[str, Finding] = {}
    others: dict[str, str] = {}
    installed = False


def data_files(manifest: Backtest, base: Path) -> frozenset[Path]:
    """The files and folders that the run's data lie in."""
    data, markets = manifest.spec.data, manifest.spec.markets
    if data.source == "synthetic":
        return frozenset()
    if data.source == "sample":
        return frozenset(sample_file(m.symbol).resolve() for m in markets)
    named = [p for p in (data.path, data.funding, *(m.data for m in markets)) if p is not None]
    found = {(base / Path(p).expanduser()).resolve() for p in named}
    if data.source == "catalogue" and not in_database(place := catalogue_place()):
        found.add(Path(place).expanduser().resolve())
    return frozenset(found)


@contextmanager
def watched(files: frozenset[Path]) -> Iterator[type[_Watch]]:
    """While it lasts, data files that the strategy's code opens are noted with the line that opens them."""
    if not _Watch.installed:
        sys.addaudithook(_hook)
        _Watch.installed = True
    _Watch.files, _Watch.reads, _Watch.others = files, {}, {}
    try:
        yield _Watch
    finally:
        _Watch.files = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or _Watch.files is None or not isinstance(args[0], (str, bytes)):
        return
    frame = _users_frame(sys._getframe(1))
    if frame is None:
        return
    path = Path(os.fsdecode(args[0])).resolve()
    place = f"{shown(frame.f_code.co_filename)}:{frame.f_lineno}"
    if any(path == file or file in path.parents for file in _Watch.files):
        text = f"{place}: {frame.f_code.co_name} opens {path.name}, the data it is tested on"
        _Watch.reads.setdefault(place, Finding("read", 0, 0, text=text))
    elif is_data_file(path):
        _Watch.others.setdefault(
            place, f"{place}: opens {path.name}; see that it holds nothing of the future"
        )


def _users_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost caller in the strategy's own module, or None."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("sigma_strategy_"):
            return frame
        frame = frame.f_back
    return None


def unseen_readers(loaded: LoadedStrategy) -> list[str]:
    """Libraries the strategy imports that read files without Python noticing."""
    module = sys.modules[loaded.cls.__module__]
    files = [Path(str(module.__file__)), *loaded.helpers]
    names: set[str] = set()
    for node in (n for f in files if f.is_file() for n in ast.walk(ast.parse(f.read_bytes()))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return sorted(names & UNSEEN)


def notes_of(probe: Probe, full: Rows, shifts: Sequence[int]) -> Iterator[str]:
    """What limits the answer."""
    if len(full) == 0:
        yield "the strategy decided nothing in this period, so nothing could differ"
    if not shifts:
        yield "the data are too short for a late start behind the declared warm-up; only cuts were checked"
    readers = unseen_readers(probe.replay.loaded)
    if readers:
        yield f"the strategy imports {', '.join(readers)}: files read with it are not seen by this check"
    if probe.replay.reason:
        yield f"the strategy runs interpreted: {probe.replay.reason}"
