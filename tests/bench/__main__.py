"""Measure the figures and print them as a table in Markdown."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figure import HEAD
from tests.bench.machine import machine
from tests.bench.scene import Scene

FIGURES = ("ticks", "bars", "process", "sweep", "compiling", "interpreted", "memory", "peers")


def main() -> None:
    """Measure what the arguments ask for. A missed target is a finding, no failure: the exit code stays 0."""
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
        run(Scene(folder.resolve(), options.quick), options.only or FIGURES)


def run(scene: Scene, names: Sequence[str]) -> None:
    """Measure one after another; each line is printed when it is known."""
    print(f"{machine()}\n\n{HEAD}", flush=True)
    for name in names:
        for figure in importlib.import_module(f"tests.bench.figures.{name}").measure(scene):
            print(figure.row(), flush=True)


if __name__ == "__main__":
    main()
