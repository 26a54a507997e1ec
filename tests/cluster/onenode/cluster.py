"""Starting and ending a node of our own."""

from __future__ import annotations

import fcntl
import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.onenode.client import Client
from tests.cluster.onenode.config import NODE_NAME, Layout
from tests.cluster.onenode.images import Image, build_image, node_images
from tests.cluster.onenode.store import import_archive, store
from tests.cluster.onenode.supervisor import LOGS, RUN, clean, running
from tests.cluster.onenode.tools import HERE, ROOT, SetupError, Tools, say

CLAIMS: list[object] = []  # files that are open, and locked, for as long as this process lives
READY = '{.status.conditions[?(@.type=="Ready")].status}'


def claim(prefix: str) -> str:
    """A name for a node, `prefix` and a number, that no other process uses while this one lives. It is used
    again afterwards, so that logs and what a killed process left do not pile up."""
    RUN.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        file = (RUN / f"{prefix}-{number}.claim").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        CLAIMS.append(file)
        return f"{prefix}-{number}"
    raise AssertionError("there is always a next number")


class Cluster(Client):
    """The node called `name`, running or not."""

    def __init__(self, name: str, tools: Tools) -> None:
        super().__init__(RUN / name / "kubeconfig", tools.kubectl, tools.helm)
        self.name = name
        self.tools = tools
        self.state = RUN / name
        self.cgroup = Layout(name, self.state, 0).cgroup

    def up(self, *images: Image, bound: bool = False, timeout: float = 300) -> None:
        """Start the node with these images, if it does not run yet, and wait until it is Ready. `bound`: it
        ends with this process.

        Raises SetupError, naming the folder of the logs, when it is not Ready in `timeout` seconds.
        """
        if running(self.name) is not None:
            return
        archives = [*node_images(self.tools), *map(build_image, images)]
        store(archives)
        began = time.monotonic()
        supervisor = self._supervise(bound, archives)
        try:
            self._bootstrap(supervisor, began + timeout)
        except BaseException:
            self.down()
            raise
        say(f"node Ready in {time.monotonic() - began:.1f} s")

    def _supervise(self, bound: bool, archives: Sequence[Path]) -> subprocess.Popen[bytes]:
        tools = (self.tools.node, self.tools.local_path, self.tools.netpol)
        options = [*map(str, tools), "bound" if bound else "free", *map(str, archives)]
        command = [sys.executable, "-m", "tests.cluster.onenode.supervisor", self.name, *options]
        RUN.mkdir(parents=True, exist_ok=True)
        with (RUN / f"{self.name}.out").open("wb") as output:
            return subprocess.Popen(
                command,
                # Nothing is ever written: the kernel closes our end when we end, be it by SIGKILL.
                stdin=subprocess.PIPE if bound else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    def _bootstrap(self, supervisor: subprocess.Popen[bytes], deadline: float) -> None:
        def until(what: str, ready: Callable[[], object]) -> None:
            while not ready():
                if supervisor.poll() is not None:
                    raise SetupError(f"the node ended: {(RUN / f'{self.name}.out').read_text()}")
                if time.monotonic() > deadline:
                    raise SetupError(f"{what} did not become ready; the logs are in {LOGS / self.name}")
                time.sleep(0.1)

        until("the API server", lambda: self.try_kubectl("get", "--raw", "/readyz"))
        self.kubectl("apply", "--server-side", "-f", HERE / "onenode" / "manifests")
        until(
            "the node",
            lambda: self.try_kubectl("get", "node", NODE_NAME, "-o", f"jsonpath={READY}") == "True",
        )
        # The API server refuses pods before this account is there.
        account = ("get", "serviceaccount", "default", "--namespace=default", "-o", "name")
        until("the first service account", lambda: self.try_kubectl(*account))

    def import_image(self, archive: Path) -> None:
        """Bring an image archive into the node's containerd."""
        import_archive(self.state / "containerd.sock", archive)

    def part(self, name: str) -> int:
        """The process id, on this machine, of a part of the node such as the kubelet.

        Raises ProcessLookupError while it does not run.
        """
        inside = (self.state / "pid" / name).read_text()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "status").read_text()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            numbers = next((line for line in status.splitlines() if line.startswith("NSpid:")), "").split()
            if len(numbers) > 2 and numbers[-1] == inside and str(self.state).encode() in command:
                return int(process.name)
        raise ProcessLookupError(f"{name} does not run on {self.name}")

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Kill a part of the node and keep it away meanwhile."""
        held = self.state / "hold" / name
        held.touch()
        try:
            os.kill(self.part(name), signal.SIGKILL)
            yield
        finally:
            held.unlink()

    def down(self) -> None:
        """End the node and wait until nothing of it is left, of one whose supervisor was killed either."""
        super().down()
        pid = running(self.name)
        if pid is None:
            clean(Layout(self.name, self.state, 0))
            return
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        select.select([handle], [], [])
        os.close(handle)
