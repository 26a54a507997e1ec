"""Measure the figures and print them as a table in Markdown."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from tests.bench.figure import HEAD, Figure
from tests.bench.machine import machine
from tests.bench.scene import Scene

FIGURES = ("ticks", "bars", "process", "sweep", "compiling", "interpreted", "memory", "peers")


def main() -> int:
    """0 when every target that was measured is met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=FIGURES, help="measure this figure; repeat it for more"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, fewer repetitions")
    parser.add_argument("--folder", type=Path, help="keep generated data and the peers' environments here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sigma-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(Scene(folder.resolve(), options.quick), options.only or FIGURES)
    return int(any(f.met is False for f in figures))


def run(scene: Scene, names: list[str]) -> list[Figure]:
    """Measure one after another; each line is printed when it is known."""
    print(f"{machine()}\n\n{HEAD}", flush=True)
    figures = []
    for name in names:
        for figure in importlib.import_module(f"tests.bench.figures.{name}").measure(scene):
            print(figure.row(), flush=True)
            figures.append(figure)
    return figures


if __name__ == "__main__":
    sys.exit(main())
