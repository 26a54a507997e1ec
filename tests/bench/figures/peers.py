"""Other engines beside ours on the same data: trades are compared first, and only who agrees is timed."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.peers import backtesting, hftbacktest, vectorbt
from tests.bench.peers.environment import PeerError
from tests.bench.scene import Scene


def measure(scene: Scene) -> list[Figure]:
    """A line for each peer; one that cannot be had says so."""
    lines = []
    for peer in (backtesting, vectorbt, hftbacktest):
        try:
            lines.append(peer.measure(scene))
        except PeerError as error:
            lines.append(Figure(peer.PACKAGE, "-", "-", None, note=str(error)))
    return lines
