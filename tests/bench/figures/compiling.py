"""The first compile of a strategy, each in a fresh process: with the engine compiled, and with nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.bench.figure import Figure, at_most, seconds
from tests.bench.measure import Spread, process
from tests.bench.scene import STRATEGIES, Scene

SCRIPT = "tests.bench.figures.compile_once"
Clocks = tuple[float, float]


def measure(scene: Scene) -> list[Figure]:
    """Both compiles in turn, and that of the raw loop."""
    both: list[Clocks] = []
    alone: list[Clocks] = []
    raw: list[Clocks] = []
    for _ in range(3 if scene.quick else 5):
        shutil.rmtree(scene.folder / "empty", ignore_errors=True)
        env = scene.environment("empty")
        both.append(compiled(env, STRATEGIES / "quoter.py", "tick"))
        # another strategy: the engine's code is there, its own is not
        alone.append(compiled(env, STRATEGIES / "sma_cross.py", "bar"))
        raw.append(compiled(env, "raw"))
    return [
        line("first compile, engine compiled", 3.0, alone, raw),
        line("first compile, nothing compiled", 8.0, both, raw),
    ]


def compiled(env: dict[str, str], *arguments: str | Path) -> Clocks:
    """Seconds of the wall clock and of processors that the script prints."""
    wall, cpu = map(float, process([sys.executable, "-m", SCRIPT, *arguments], env).output.split())
    return wall, cpu


def line(work: str, target: float, ours: list[Clocks], raw: list[Clocks]) -> Figure:
    """One line of the table."""
    wall, cpu = (Spread(tuple(values)) for values in zip(*ours, strict=True))
    least = Spread(tuple(own for _, own in raw))
    return Figure(
        work,
        f"≤ {target:.0f} s",
        seconds(wall),
        at_most(wall, target),
        f"{cpu.median / least.median:.1f} times the raw loop's compile ({least.median:.2f} s)",
        f"{cpu.median:.2f} s of processor time, the import of Numba included",
    )
