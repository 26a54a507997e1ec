"""The node itself: what must be gone when it ends, in whatever way it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from onenode.box import RUN, hierarchies, running
from onenode.client import existing
from onenode.cluster import Cluster
from onenode.tools import prepare

from conftest import HERE

pytestmark = pytest.mark.skipif(existing() is not None, reason="an existing cluster is used")
NAME = "killed"
HOLD = f"""
from onenode.cluster import Cluster
from onenode.tools import prepare
Cluster({NAME!r}, prepare()).up(bound=True)
print("up", flush=True)
input()
"""


@pytest.fixture
def addresses() -> set[Path]:
    """Where the machine itself would keep the addresses of pods, before there is a node."""
    return stored()


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """A process that has started a node bound to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()
    Cluster(NAME, prepare()).down()


def remains() -> list[str]:
    """Everything of the node that is still there."""
    state = str(RUN / NAME)
    processes = subprocess.run(["pgrep", "-f", state], capture_output=True, text=True, check=False)
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if state in line]
    folders = [str(root) for root in hierarchies() if (root / "sigma-x" / NAME).exists()]
    return [*processes.stdout.split(), *mounts, *folders, *([state] if os.path.exists(state) else [])]


def links() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if name.startswith("sigma")}


def stored() -> set[Path]:
    return set(Path("/var/lib/cni").rglob("*"))


@pytest.mark.parametrize("whom", ["holder", "supervisor"])
def test_a_sigkill_leaves_nothing(
    addresses: set[Path], holder: subprocess.Popen[str], until: Callable[..., None], whom: str
) -> None:
    supervisor = running(NAME)
    assert supervisor is not None
    assert remains(), "a running node is seen"
    dns = ("deployment/coredns", "-n", "kube-system", "--for=condition=Available", "--timeout=120s")
    Cluster(NAME, prepare()).kubectl("wait", *dns)  # a pod with an address
    before = links()
    os.kill(holder.pid if whom == "holder" else supervisor, signal.SIGKILL)
    until(lambda: running(NAME) is None, "the node's lock is still held")
    if whom == "supervisor":  # nobody is left to clean: whoever comes next does
        Cluster(NAME, prepare()).down()
    until(lambda: not remains(), "something is left behind")
    # The kernel takes a network namespace apart after its last process has ended, in its own time.
    until(lambda: len(links()) < len(before), "the cable is left behind")
    assert stored() == addresses
