"""A trading floor for the tests of Strategies: a namespace with the connections, and ticks that never end."""

from __future__ import annotations

import copy
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from onenode.client import Client
from onenode.cluster import Cluster
from onenode.processes import pod_processes

from conftest import ROOT
from sigma_bot.version import VERSION

Object = dict[str, Any]
EXAMPLES = ROOT / "examples" / "ema-cross"
CODE: str = yaml.safe_load((EXAMPLES / "strategy.yaml").read_text())["spec"]["strategy"]["code"]
FLOOR, RELEASE = "floor", "sigma"
SECRETS = ("connections", "granter", "control")
IN = ("-n", FLOOR)
IMAGE = f"docker.io/sigma-x/sigma:{VERSION}"
# A market that goes up and down by one per mille every four seconds, so that a strategy has something to do.
TICKER = """
import asyncio, math, os, time
from sigma_bot.bus import open_bus
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log

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


def open_namespace(cluster: Client, name: str) -> None:
    """A desk that enforces the restricted standard, with all that Kubernetes itself puts into a namespace."""
    cluster.kubectl("create", "namespace", name)
    marks = ("pod-security.kubernetes.io/enforce=restricted", "sigma-x.io/desk=true")
    cluster.kubectl("label", "namespace", name, *marks)
    for own in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
        cluster.kubectl("wait", own, "-n", name, "--for=create", "--timeout=120s")


def copy_secret(cluster: Client, name: str, namespace: str) -> None:
    """A Secret of the release in another namespace, as it is now."""
    secret = json.loads(cluster.kubectl("get", f"secret/{name}", "-n", RELEASE, "-o", "json"))
    secret["metadata"] = {"name": name, "namespace": namespace}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(secret))


@contextmanager
def floor(cluster: Client, ticks: bool = True, close: int = 120) -> Iterator[Client]:
    """The namespace, open for trading; everything is taken away afterwards. `ticks`: from a pod of the test's
    own; else they are the feed's. `close`: seconds to close an account."""
    deadlines = f"bot.closeDeadline={close},bot.grace=5"
    chart = ("upgrade", "sigma-x", ROOT / "charts" / "sigma-x", "-n", RELEASE, "--reuse-values")
    cluster.helm(*chart, "--set", deadlines, "--wait", "--timeout=600s")
    open_namespace(cluster, FLOOR)
    for secret_name in SECRETS:
        copy_secret(cluster, f"sigma-x-{secret_name}", FLOOR)
    if ticks:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(ticker()))
        cluster.kubectl("wait", "pod/ticker", "-n", RELEASE, "--for=condition=Ready", "--timeout=300s")
    try:
        yield cluster
    finally:
        if ticks:
            cluster.kubectl("delete", "pod/ticker", "-n", RELEASE, "--grace-period=1")
        cluster.kubectl("delete", "namespace", FLOOR, "--timeout=300s", "--ignore-not-found")


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
    cluster: Client, name: str, holds: Callable[[Object], object], what: str, timeout: float = 180
) -> Object:
    """The Strategy once `holds` of it."""
    deadline = time.monotonic() + timeout
    while True:
        found = get(cluster, f"strat/{name}")
        if holds(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {json.dumps(found.get('status'), indent=1)}"
        time.sleep(0.1)


def wait_phase(cluster: Client, name: str, phase: str, timeout: float = 180) -> Object:
    """The Strategy once it is in this phase, as seen of its newest generation."""

    def there(found: Object) -> bool:
        status = found.get("status", {})
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and status.get("phase") == phase

    return wait(cluster, name, there, f"{name} is not {phase}", timeout)


def wait_reason(cluster: Client, name: str, reason: str, kind: str = "Ready") -> Object:
    """The Strategy once its condition has this reason, as seen of its newest generation."""

    def told(found: Object) -> bool:
        condition = conditions(found).get(kind, {})
        current = condition.get("observedGeneration") == found["metadata"]["generation"]
        return current and condition.get("reason") == reason

    return wait(cluster, name, told, f"{name} does not say {reason}")


def bots(cluster: Client, name: str) -> list[Object]:
    """The pods of the Strategy's bot."""
    selector = f"sigma-x.io/strategy={name},app.kubernetes.io/component=bot"
    found: list[Object] = json.loads(cluster.kubectl("get", "pods", *IN, "-l", selector, "-o", "json"))[
        "items"
    ]
    return found


def wait_steady(cluster: Client, name: str) -> Object:
    """The Strategy once its bot runs and nothing is on its way that would end it: its StatefulSet's last
    change is seen to, its only pod is Ready, and the status is of that pod."""

    def steady(found: Object) -> bool:
        wanted = get(cluster, f"statefulset/{name}")
        seen = wanted["status"].get("observedGeneration") == wanted["metadata"]["generation"]
        pods = bots(cluster, name)
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]
        if not seen or wanted["spec"]["replicas"] != 1 or len(pods) != 1 or len(ready) != 1:
            return False
        status = found["status"]
        current = status["observedGeneration"] == found["metadata"]["generation"]
        revision = ready[0]["metadata"]["labels"]["sigma-x.io/revision"]
        return current and status["phase"] == "Running" and status.get("revision") == revision

    wait_phase(cluster, name, "Running")
    return wait(cluster, name, steady, f"{name} does not come to rest")


def is_ready(pod: Object) -> bool:
    """Whether its probes say so."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(pod: Object) -> int:
    """How often the bot's container was started again."""
    return sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))


def sigkill_bot(cluster: Client, name: str) -> None:
    """SIGKILL the bot's process on the node, as its out-of-memory killer would; on a cluster elsewhere,
    SIGTERM from inside."""
    uid = get(cluster, f"pod/{name}-0")["metadata"]["uid"]
    if isinstance(cluster, Cluster):
        (bot,) = [p for p in pod_processes(cluster.cgroup) if p.pod == uid and b"sigma-app" in p.command]
        bot.kill()
        return
    kill = "import os; os.kill(1, 15)"
    cluster.kubectl("exec", f"{name}-0", *IN, "--", "/opt/sigma/bin/python", "-c", kill)


def delete(cluster: Client, name: str, *options: str) -> float:
    """Delete the Strategy and wait until it is gone; how long that took."""
    began = time.monotonic()
    cluster.kubectl("delete", f"strat/{name}", *IN, "--timeout=300s", *options)
    return time.monotonic() - began


def refusal(error: subprocess.CalledProcessError) -> str:
    """What kubectl complained of."""
    return str(error.stderr)
