"""backtesting.py, an event loop in Python."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.peers.crossing import beside
from tests.bench.scene import Scene

PACKAGE = "backtesting==0.6.6"


def measure(scene: Scene) -> Figure:
    """Its run of the cross beside ours."""
    return beside(scene, PACKAGE, "run_backtesting.py", scene.rows(100_000), 1)
