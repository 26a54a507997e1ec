"""The first compile of a strategy, each in a fresh process: with the engine compiled, and with nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.bench.figure import Figure, at_most, seconds
from tests.bench.measure import Spread, process
from tests.bench.scene import STRATEGIES, Scene

SCRIPT = Path(__file__).with_name("compile_once.py")


def measure(scene: Scene) -> list[Figure]:
    """Both compiles in turn, and that of the raw loop."""
    both: list[float] = []
    alone: list[float] = []
    raw: list[float] = []
    for _ in range(3 if scene.quick else 5):
        shutil.rmtree(scene.folder / "empty", ignore_errors=True)
        env = scene.environment("empty")
        both.append(float(process([sys.executable, SCRIPT, STRATEGIES / "quoter.py", "tick"], env).output))
        # another strategy: the engine's code is there, its own is not
        alone.append(float(process([sys.executable, SCRIPT, STRATEGIES / "sma_cross.py", "bar"], env).output))
        raw.append(float(process([sys.executable, SCRIPT, "raw"], env).output))
    plain = Spread(tuple(raw))
    return [
        line("first compile, engine compiled", 3.0, Spread(tuple(alone)), plain),
        line("first compile, nothing compiled", 8.0, Spread(tuple(both)), plain),
    ]


def line(work: str, target: float, spread: Spread, raw: Spread) -> Figure:
    """One line of the table."""
    return Figure(
        work,
        f"≤ {target:.0f} s",
        seconds(spread),
        at_most(spread, target),
        f"{spread.median / raw.median:.1f} times the raw loop's compile ({raw.median:.2f} s)",
        "Numba's import included",
    )
