"""The node itself: what must be gone when it ends, in whatever way it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.onenode.client import existing
from tests.cluster.onenode.cluster import Cluster, claim
from tests.cluster.onenode.supervisor import RUN, hierarchies, running
from tests.cluster.onenode.tools import ROOT, prepare

pytestmark = pytest.mark.skipif(existing() is not None, reason="an existing cluster is used")
HOLD = """
import sys
from tests.cluster.onenode.cluster import Cluster
from tests.cluster.onenode.tools import prepare
Cluster(sys.argv[1], prepare()).up(bound=True)
print("up", flush=True)
input()
"""


@pytest.fixture(scope="module")
def node() -> Cluster:
    """A node that does not run yet."""
    return Cluster(claim("killed"), prepare())


@pytest.fixture
def addresses() -> set[Path]:
    """Where the machine itself would keep the addresses of pods, before there is a node."""
    return stored()


@pytest.fixture
def holder(node: Cluster) -> Iterator[subprocess.Popen[str]]:
    """A process that has started a node bound to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, node.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()
    node.down()


def remains(name: str) -> list[str]:
    """Everything of the node that is still there."""
    state = str(RUN / name)
    processes = subprocess.run(["pgrep", "-f", state], capture_output=True, text=True, check=False)
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if state in line]
    folders = [str(root) for root in hierarchies() if (root / "sigma-x" / name).exists()]
    return [*processes.stdout.split(), *mounts, *folders, *([state] if os.path.exists(state) else [])]


def links(name: str) -> list[str]:
    """The host's ends of the node's cable."""
    listed = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout
    return [link["ifname"] for link in json.loads(listed) if link.get("ifalias") == f"sigma-x/{name}"]


def stored() -> set[Path]:
    return set(Path("/var/lib/cni").rglob("*"))


def wait_for_kernel(holds: Callable[[], bool], what: str) -> None:
    """Wait for what the kernel does in its own time, and tells nobody."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.parametrize("whom", ["holder", "supervisor"])
def test_a_sigkill_leaves_nothing(
    addresses: set[Path], node: Cluster, holder: subprocess.Popen[str], whom: str
) -> None:
    supervisor = running(node.name)
    assert supervisor is not None
    assert remains(node.name), "a running node is seen"
    assert links(node.name), "its cable is seen"
    dns = ("deployment/coredns", "-n", "kube-system", "--for=condition=Available", "--timeout=120s")
    node.kubectl("wait", *dns)  # a pod with an address
    os.kill(holder.pid if whom == "holder" else supervisor, signal.SIGKILL)
    wait_for_kernel(lambda: running(node.name) is None, "the node's lock is still held")
    if whom == "supervisor":  # nobody is left to clean: whoever comes next does
        node.down()
    wait_for_kernel(lambda: not remains(node.name), "something is left behind")
    wait_for_kernel(lambda: not links(node.name), "the cable is left behind")
    assert stored() == addresses
