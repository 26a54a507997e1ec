"""The first process inside a node's namespaces: joins the network, starts the parts, starts again what dies.

It plays the part that systemd has on a real node. Its arguments: NAME STATE SLOT NODE LOCAL_PATH NETPOL.
"""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.onenode.config import Layout, parts

RESTART_AFTER = 0.5  # seconds; a part that can't start must not eat a core
EARLY = ("containerd", "etcd", "kube-apiserver")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def isolate(layout: Layout) -> None:
    """A private /run for shims and locks, a private store of the pods' addresses, and the node's end of the
    cable once the host has put it here."""
    for folder in ("/run", "/var/lib/cni"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    subprocess.run(["mount", "--make-rshared", "/"], check=True)  # pods' volumes propagate from here
    ip("link", "set", "lo", "up")
    while subprocess.run(
        ["ip", "link", "show", layout.node_link], capture_output=True, check=False
    ).returncode:
        time.sleep(0.02)
    ip("address", "add", f"{layout.node_ip}/24", "dev", layout.node_link)
    ip("link", "set", layout.node_link, "up")
    ip("route", "add", "default", "via", layout.host_ip)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def wait_for_api(layout: Layout) -> None:
    context = ssl.create_default_context(cafile=str(layout.state / "pki" / "ca.crt"))
    context.load_cert_chain(layout.state / "pki" / "admin.crt", layout.state / "pki" / "admin.key")
    while True:
        connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.1)


class Parts:
    """The running parts by process id. `hold/<part>` in the state folder keeps a part that has died from
    coming back."""

    def __init__(self, layout: Layout, commands: dict[str, list[str]]) -> None:
        self.layout = layout
        self.commands = commands
        self.running: dict[int, str] = {}

    def start(self, name: str) -> None:
        with (self.layout.state / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.commands[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.layout.state,
                start_new_session=True,
            )
        self.running[process.pid] = name
        (self.layout.state / "pid" / name).write_text(str(process.pid))

    def held(self, name: str) -> bool:
        return (self.layout.state / "hold" / name).exists()

    def watch(self) -> None:
        """Reap every orphan of the node for ever; a part that ended is started again."""
        waiting: dict[str, float] = {}
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if name := self.running.pop(pid, None):
                waiting[name] = time.monotonic() + RESTART_AFTER
            for name, due in list(waiting.items()):
                if time.monotonic() >= due and not self.held(name):
                    del waiting[name]
                    self.start(name)
            if pid == 0:
                time.sleep(0.1)


def main(name: str, state: str, slot: str, *programs: str) -> None:
    layout = Layout(name, Path(state), int(slot))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the namespace ends by SIGKILL from outside
    isolate(layout)
    for folder in ("log", "pid", "hold"):
        (layout.state / folder).mkdir(exist_ok=True)
    everything = Parts(layout, parts(layout, *map(Path, programs)))
    for part in EARLY:
        everything.start(part)
    wait_for_api(layout)
    for part in everything.commands:
        if part not in EARLY:
            everything.start(part)
    everything.watch()


if __name__ == "__main__":
    main(*sys.argv[1:])
