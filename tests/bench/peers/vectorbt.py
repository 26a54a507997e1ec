"""vectorbt: signals of the whole series at once, then a compiled loop over them; there are no events."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.peers.crossing import beside
from tests.bench.scene import Scene

PACKAGE = "vectorbt==1.2.0"


def measure(scene: Scene) -> Figure:
    """Its run of the cross beside ours."""
    return beside(scene, PACKAGE, "run_vectorbt.py", scene.rows(1_000_000), 5)
