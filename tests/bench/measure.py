"""Repeated measurements: the median with its spread, of calls in this process and of whole processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Spread:
    """Values of one measurement repeated."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def show(self, form: Callable[[float], str]) -> str:
        """``median (lowest to highest)``."""
        if len(self.values) == 1:
            return form(self.values[0])
        return f"{form(self.median)} ({form(min(self.values))} to {form(max(self.values))})"

    def rate(self, count: float) -> Spread:
        """Seconds as ``count`` a second."""
        return Spread(tuple(count / v for v in self.values))


@dataclass(frozen=True)
class Timed:
    """Seconds of the wall clock, and of this thread on its processor. On an idle machine they are equal; on a
    shared one only the second says how fast the code is."""

    wall: Spread
    cpu: Spread


def alternate(calls: Sequence[Callable[[], Callable[[], object]]], rounds: int) -> list[Timed]:
    """Time several works in turn, so that a drift of the machine meets all alike. Each entry prepares a run,
    which is not timed, and returns what is timed. The first round is thrown away."""
    walls: list[list[float]] = [[] for _ in calls]
    cpus: list[list[float]] = [[] for _ in calls]
    for n in range(rounds + 1):
        for prepare, wall, cpu in zip(calls, walls, cpus, strict=True):
            run = prepare()
            started, own = time.perf_counter(), time.thread_time()
            run()
            if n:
                cpu.append(time.thread_time() - own)
                wall.append(time.perf_counter() - started)
    return [Timed(Spread(tuple(w)), Spread(tuple(c))) for w, c in zip(walls, cpus, strict=True)]


@dataclass(frozen=True)
class Process:
    """A finished process: seconds of the wall clock and of processors, largest memory in MiB, output."""

    wall: float
    cpu: float
    memory: float
    output: str


def process(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Process:
    """Run a command to its end. Raises RuntimeError with its messages when it fails.

    It is started by a small launcher: the largest memory that the system reports for a process counts that of
    the process which started it.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, command)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    messages, _, report = done.stderr.rpartition("\n@bench ")
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{messages}")
    facts = json.loads(report)
    return Process(facts["wall"], facts["cpu"], facts["memory"] / 1024, done.stdout)
