"""The whole process from the command line, compiled code cached, result stored, report written."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.figure import Figure, at_most, seconds
from tests.bench.measure import Process, Spread, process
from tests.bench.scene import Scene, crossing, quoting

SIGMA = Path(sys.executable).with_name("sigma")
RAW = "tests.bench.figures.raw_process"


def measure(scene: Scene) -> list[Figure]:
    """A million bars with a report, and 100,000 ticks."""
    bars = scene.parquet("bars", scene.rows(1_000_000))
    ticks = scene.parquet("ticks", scene.rows(100_000))
    by_bars = scene.manifest("bars", crossing({"path": str(bars)}))
    by_ticks = scene.manifest("ticks", quoting({"path": str(ticks)}))
    report = scene.folder / "report.html"
    return [
        line(
            scene,
            "1,000,000 bars, whole process, HTML report and storage",
            2.5,
            by_bars,
            bars,
            "--html",
            str(report),
        ),
        line(scene, "100,000 ticks, whole process, storage", 1.3, by_ticks, ticks),
    ]


def line(scene: Scene, work: str, target: float, manifest: Path, data: Path, *options: str) -> Figure:
    """One line of the table. The raw process reads the same file and runs the cached raw loop, no report."""
    command = [SIGMA, "backtest", manifest, *options]
    env = scene.environment()
    ours: list[Process] = []
    hand_written: list[Process] = []
    for n in range(scene.rounds + 1):  # the first round fills the caches
        mine = process(command, env)  # type: ignore[arg-type]
        loop = process([sys.executable, "-m", RAW, data], {"NUMBA_CACHE_DIR": str(scene.folder / "numba")})
        if n:
            ours.append(mine)
            hand_written.append(loop)
    wall = Spread(tuple(p.wall for p in ours))
    raw = Spread(tuple(p.wall for p in hand_written))
    cpu = Spread(tuple(p.cpu for p in ours))
    return Figure(
        work,
        f"≤ {target} s",
        seconds(wall),
        at_most(wall, target),
        f"{wall.median / raw.median:.2f} times a script of the raw loop ({raw.median:.2f} s)",
        f"{cpu.median:.2f} s of processor time, {max(p.memory for p in ours):.0f} MiB",
    )
