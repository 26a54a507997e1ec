"""A node seen from outside: the namespaces around it, its cable to the host, and its end without remains.

This is the supervisor process: it outlives the one that started it or, when bound, ends with it. It holds the
node's lock for as long as the node lives, and cleans when the node ends in whatever way: processes go with
the process namespace, mounts, addresses and firewall rules with theirs; what is left is cgroup folders and
the state.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.onenode.config import Layout, write_certificates, write_files
from tests.cluster.onenode.store import give
from tests.cluster.onenode.tools import CACHE, ROOT, SetupError

RUN = CACHE / "run"
LOGS = CACHE / "log"
CGROUPS = Path("/sys/fs/cgroup")
SLOTS = range(1, 16)
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
ENDING_S = 60  # what the kernel may take to end a node's last processes


# --- cgroups ------------------------------------------------------------------------------------------------


def hierarchies() -> list[Path]:
    """The roots of all cgroup hierarchies: one with cgroup v2, one for each controller with v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [root for root in CGROUPS.iterdir() if root.is_dir() and not root.is_symlink()]


def make_cgroups(layout: Layout) -> None:
    for root in hierarchies():
        folder = root
        for step in Path(layout.cgroup).parts:
            enable = folder / "cgroup.subtree_control"
            if enable.exists() and root == CGROUPS:
                enable.write_text("+cpu +cpuset +memory +pids")
            folder = folder / step
            folder.mkdir(exist_ok=True)
            for setting in (
                "cpuset.cpus",
                "cpuset.mems",
            ):  # v1: empty until given, and nothing runs in an empty set
                if (folder / setting).exists() and not (folder / setting).read_text().strip():
                    (folder / setting).write_text((folder.parent / setting).read_text())


def remove_cgroups(layout: Layout) -> None:
    """Remove the node's empty cgroup folders, deepest first. Its last process may be ending still."""
    for root in hierarchies():
        top = root / layout.cgroup
        deadline = time.monotonic() + ENDING_S
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    if time.monotonic() > deadline:
                        raise
            if top.exists():
                time.sleep(0.05)
        if top.parent.exists() and not any(entry.is_dir() for entry in top.parent.iterdir()):
            top.parent.rmdir()


# --- supervisor ---------------------------------------------------------------------------------------------


def ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0


def connect(name: str, state: Path) -> Layout:
    """Lay the cable between host and node in the first free slot, both ends on the host still."""
    for slot in SLOTS:
        layout = Layout(name, state, slot)
        if ip("link", "add", layout.host_link, "type", "veth", "peer", "name", layout.node_link):
            ip("link", "set", "dev", layout.host_link, "alias", layout.cgroup)
            return layout
    raise SetupError("no network link could be made: missing rights, or 15 nodes run already")


def first_child(pid: int) -> int:
    """The process that `unshare --fork` started; seen from here, the node's first."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.01)


def enter(layout: Layout, programs: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the node's first process in namespaces of its own and give it its end of the cable."""
    node_is = (layout.name, layout.state, layout.slot, *programs)
    inside = [sys.executable, "-m", "tests.cluster.onenode.node", *map(str, node_is)]
    # The kernel kills unshare when this process ends, be it by SIGKILL, and the node with it.
    around = ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES]
    around += ["--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    with (layout.state / "node.log").open("ab") as log:
        node = subprocess.Popen(
            [*around, *inside],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    ip("link", "set", layout.node_link, "netns", str(first_child(node.pid)))
    ip("address", "add", f"{layout.host_ip}/24", "dev", layout.host_link)
    ip("link", "set", layout.host_link, "up")
    return node


def remove_state(state: Path) -> None:
    """Remove the node's state folder. What writes there may be ending still, and would have the last word."""
    deadline = time.monotonic() + ENDING_S
    while state.exists():
        last = time.monotonic() > deadline
        # Unpacked images: much faster than Python.
        subprocess.run(["rm", "-rf", str(state)], capture_output=not last, check=last)
        time.sleep(0.05)


def remove_links(layout: Layout) -> None:
    """Remove the node's cable, which bears its name, in whatever slot it lies. The kernel would do that once
    the last connection inside has run out, two minutes after its last process ended."""
    for alias in Path("/sys/class/net").glob("*/ifalias"):
        with contextlib.suppress(OSError):  # another node's, which is just going
            if alias.read_text().strip() == layout.cgroup:
                ip("link", "delete", alias.parent.name)


def clean(layout: Layout) -> None:
    """Take away all that a node leaves: link, cgroups, state. Its logs stay until it is started again."""
    remove_links(layout)
    remove_cgroups(layout)
    logs = LOGS / layout.name
    shutil.rmtree(logs, ignore_errors=True)
    if (layout.state / "log").exists():
        logs.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(layout.state / "log", logs)
        shutil.move(layout.state / "node.log", logs / "node.log")
    remove_state(layout.state)


def supervise(name: str, programs: Sequence[str], archives: Sequence[Path], bound: bool) -> None:
    """Hold a node with the images of these archives until it ends, a signal says so, or, when bound, the
    caller is gone (standard input closes)."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write(str(os.getpid()))
        lock.flush()
        ended, ending = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: os.write(ending, b"."))
        state = RUN / name
        clean(Layout(name, state, 0))  # what a supervisor that was killed left
        state.mkdir(mode=0o755)
        layout = connect(name, state)
        node: subprocess.Popen[bytes] | None = None
        try:
            make_cgroups(layout)
            write_certificates(layout)
            write_files(layout)
            give(archives, layout.images)
            node = enter(layout, programs)
            watched = [ended, os.pidfd_open(node.pid), *([sys.stdin.fileno()] if bound else [])]
            select.select(watched, [], [])
        finally:
            if node is not None:
                node.kill()
                node.wait()
            clean(layout)
            lock.truncate(0)


def running(name: str) -> int | None:
    """Process id of the supervisor of node `name`, or None where there is no such node."""
    path = RUN / f"{name}.lock"
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


if __name__ == "__main__":
    called, node, local_path, netpol, binding, *images = sys.argv[1:]
    supervise(called, (node, local_path, netpol), [Path(image) for image in images], binding == "bound")
