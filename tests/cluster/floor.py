"""A trading floor for the tests of Strategies: a namespace with the connections, and ticks that never end."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from onenode.client import Client

from conftest import ROOT

Object = dict[str, Any]
EXAMPLES = ROOT / "examples" / "ema-cross"
CODE: str = yaml.safe_load((EXAMPLES / "strategy.yaml").read_text())["spec"]["strategy"]["code"]
FLOOR, RELEASE = "floor", "sigma"
IN = ("-n", FLOOR)
IMAGE = "docker.io/sigma-x/sigma:0.1.0"
# A market that goes up and down by one per mille every four seconds, so that a strategy has something to do.
TICKER = """
import asyncio, math, os, time
from sigma_bot.bus import open_bus
from sigma_bot.bus.messages import TickBatch, TickMessage, ticks_log

async def main():
    bus, log = open_bus(os.environ["SIGMA_REDIS_URL"]), ticks_log("upbit")
    last = await bus.last(log)
    seq = last[0] if last else 0
    while True:
        seq += 1
        now = time.time_ns() // 100_000_000 * 100_000_000
        price = float(round(100_000 + 100 * math.sin(seq / 6)) * 1000)
        bid, ask = price - 1000, price + 1000
        tick = TickMessage("KRW-BTC", bid, ask, 5.0, 5.0, price, 1.0, price, price, now, now)
        await bus.append(log, seq, TickBatch("upbit", seq, now, (), (tick,)).encode())
        await asyncio.sleep(0.1)

asyncio.run(main())
"""


def ticker() -> Object:
    """A pod that sends a tick every 100 ms, with the feed's rights."""
    url = {"secretKeyRef": {"name": "sigma-x-feed", "key": "redis-url"}}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "ticker",
        "image": IMAGE,
        "command": ["/opt/sigma/bin/python", "-c", TICKER],
        "env": [{"name": "SIGMA_REDIS_URL", "valueFrom": url}],
        "securityContext": security,
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    labels = {"app.kubernetes.io/instance": "sigma-x", "app.kubernetes.io/component": "feed"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ticker", "namespace": RELEASE, "labels": labels},
        "spec": pod,
    }


@contextmanager
def floor(cluster: Client, ticks: bool = True, close: int = 25) -> Iterator[Client]:
    """The namespace, open for trading; deadlines are short, and everything is taken away afterwards.
    `ticks`: from a pod of the test's own; else they are the feed's. `close`: seconds to close an account."""
    deadlines = f"bot.closeDeadline={close},bot.progressDeadline=20,bot.grace=5"
    chart = ("upgrade", "sigma-x", ROOT / "charts" / "sigma-x", "-n", RELEASE, "--reuse-values")
    cluster.helm(*chart, "--set", deadlines, "--wait")
    cluster.kubectl("create", "namespace", FLOOR)
    cluster.kubectl("label", "namespace", FLOOR, "pod-security.kubernetes.io/enforce=restricted")
    for secret_name in ("connections", "granter", "control"):
        what = f"secret/sigma-x-{secret_name}"
        secret = json.loads(cluster.kubectl("get", what, "-n", RELEASE, "-o", "json"))
        secret["metadata"] = {"name": secret["metadata"]["name"], "namespace": FLOOR}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(secret))
    if ticks:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(ticker()))
        cluster.kubectl("wait", "pod/ticker", "-n", RELEASE, "--for=condition=Ready", "--timeout=180s")
    try:
        yield cluster
    finally:
        if ticks:
            cluster.kubectl("delete", "pod/ticker", "-n", RELEASE, "--grace-period=1")
        cluster.kubectl("delete", "namespace", FLOOR, "--timeout=120s", "--ignore-not-found")


def strategy(name: str, **spec: Any) -> Object:
    """The example in SIM under a name and an account of its own."""
    manifest: Object = yaml.safe_load((EXAMPLES / "strategy.yaml").read_text())
    manifest["metadata"]["name"] = name
    manifest["spec"]["account"]["name"] = name
    return {**manifest, "spec": {**manifest["spec"], **spec}}


def with_params(manifest: Object, **params: Any) -> Object:
    """The manifest with other parameters."""
    out = copy.deepcopy(manifest)
    out["spec"]["strategy"]["params"] = params
    return out


def with_code(manifest: Object, code: str) -> Object:
    """The manifest with another source."""
    out = copy.deepcopy(manifest)
    out["spec"]["strategy"]["code"] = code
    return out


def apply(cluster: Client, *manifests: Object) -> None:
    """Apply them all at once."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("apply", *IN, "-f", "-", stdin=json.dumps(listed))


def get(cluster: Client, what: str) -> Object:
    """An object as it is now."""
    found: Object = json.loads(cluster.kubectl("get", what, *IN, "-o", "json"))
    return found


def conditions(resource: Object) -> dict[str, Object]:
    """By their types."""
    return {c["type"]: c for c in resource.get("status", {}).get("conditions", [])}


def wait(
    cluster: Client, name: str, holds: Callable[[Object], object], what: str, timeout: float = 60
) -> Object:
    """The Strategy once `holds` of it."""
    deadline = time.monotonic() + timeout
    while True:
        found = get(cluster, f"strat/{name}")
        if holds(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {json.dumps(found.get('status'), indent=1)}"
        time.sleep(0.1)


def wait_phase(cluster: Client, name: str, phase: str, timeout: float = 60) -> Object:
    """The Strategy once it is in this phase, as seen of its newest generation."""

    def there(found: Object) -> bool:
        status = found.get("status", {})
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and status.get("phase") == phase

    return wait(cluster, name, there, f"{name} is not {phase}", timeout)


def wait_reason(cluster: Client, name: str, reason: str, timeout: float = 10, kind: str = "Ready") -> Object:
    """The condition once it has this reason."""
    found = wait(
        cluster,
        name,
        lambda resource: conditions(resource).get(kind, {}).get("reason") == reason,
        f"{name} does not say {reason}",
        timeout,
    )
    return conditions(found)[kind]


def sigkill_bot(cluster: Client, name: str) -> None:
    """SIGKILL the bot's process on the node, as its out-of-memory killer would; on a cluster elsewhere,
    SIGTERM from inside."""
    uid = get(cluster, f"pod/{name}-0")["metadata"]["uid"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            groups = (process / "cgroup").read_text()
        except OSError:
            continue  # it has ended
        if b"sigma-app" in command and uid in groups.replace("_", "-"):
            os.kill(int(process.name), signal.SIGKILL)
            return
    kill = "import os; os.kill(1, 15)"
    cluster.kubectl("exec", f"{name}-0", *IN, "--", "/opt/sigma/bin/python", "-c", kill)


def delete(cluster: Client, name: str, *options: str) -> float:
    """Delete the Strategy and wait until it is gone; how long that took."""
    began = time.monotonic()
    cluster.kubectl("delete", f"strat/{name}", *IN, "--timeout=180s", *options)
    return time.monotonic() - began


def refusal(error: subprocess.CalledProcessError) -> str:
    """What kubectl complained of."""
    return str(error.stderr)
