"""The processes of a node's pods, seen from outside through their cgroups: to kill, measure, confine them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.onenode.supervisor import hierarchies

PAUSE = b"/pause"
SHIM = b"containerd-shim-runc-v2"
MIB = 1 << 20


@dataclass(frozen=True)
class Process:
    """A process of a pod: its id on this machine, the pod's uid, the container's id. The pause process bears
    the id of the pod's sandbox."""

    pid: int
    pod: str
    container: str
    command: bytes

    @property
    def pause(self) -> bool:
        return self.command.startswith(PAUSE)

    def kill(self) -> None:
        """SIGKILL; it may have ended already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def memory_root() -> Path:
    """The hierarchy that counts memory."""
    roots = hierarchies()
    return next((root for root in roots if root.name == "memory"), roots[0])


def pods_cgroup(parent: str) -> Path:
    """The folder under which the kubelet puts all pods, below the node's cgroup `parent`."""
    return memory_root() / parent / "kubepods"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def pod_processes(parent: str) -> list[Process]:
    """Every process of every pod of the node."""
    found = []
    for folder, _, _ in os.walk(pods_cgroup(parent)):
        pod, container = Path(folder).parent.name, Path(folder).name
        if not pod.startswith("pod"):
            continue
        with contextlib.suppress(OSError):  # the container has ended
            for pid in map(int, (Path(folder) / "cgroup.procs").read_text().split()):
                found.append(Process(pid, pod.removeprefix("pod"), container, _command(pid)))
    return found


def proportional(pids: Iterable[int]) -> float:
    """MiB of these processes, pages shared with others divided among all who share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended, as those of probes do
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total / MIB


def shims(sandboxes: Iterable[str]) -> list[int]:
    """The processes of the container runtime that look after these sandboxes, one each."""
    wanted = [sandbox.encode() for sandbox in sandboxes]
    numbers = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    commands = {pid: _command(pid) for pid in numbers}
    return [
        pid for pid, command in commands.items() if SHIM in command and any(one in command for one in wanted)
    ]


@contextmanager
def memory_limit(folder: Path, free: int) -> Iterator[None]:
    """Leave a cgroup `free` bytes beyond what its processes hold: for them the machine is no larger. Caches
    give way first."""
    ours = folder / "memory.max"
    limit, none = (ours, "max") if ours.exists() else (folder / "memory.limit_in_bytes", "-1")
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    v1 = "total_rss" in stat
    held = sum(int(stat[name]) for name in (("total_rss", "total_shmem") if v1 else ("anon", "shmem")))
    limit.write_text(str(held + free))
    try:
        yield
    finally:
        limit.write_text(none)
