"""What tests of Strategies share: a namespace with ticks that never end, manifests, and what to wait for."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from sigma_bot.version import VERSION
from tests.cluster.api import Object
from tests.cluster.namespace import RELEASE, Namespace, conditions
from tests.cluster.onenode.client import Client
from tests.cluster.onenode.cluster import Cluster
from tests.cluster.onenode.processes import pod_processes
from tests.cluster.onenode.tools import ROOT

EXAMPLES = ROOT / "examples" / "ema-cross"
CODE: str = yaml.safe_load((EXAMPLES / "strategy.yaml").read_text())["spec"]["strategy"]["code"]
TRADING = "trading"  # the namespace of most tests of Strategies
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


def set_deadlines(cluster: Client, close: int) -> None:
    """Let the operator take `close` seconds to close an account, and bots 5 s to end. Nothing is upgraded
    where that is so already."""
    wanted = {"closeDeadline": close, "grace": 5}
    values = json.loads(cluster.helm("get", "values", "sigma-x", "-n", RELEASE, "-o", "json"))
    if wanted.items() <= values.get("bot", {}).items():
        return
    chart = ("upgrade", "sigma-x", ROOT / "charts" / "sigma-x", "-n", RELEASE, "--reuse-values")
    given = ",".join(f"bot.{name}={value}" for name, value in wanted.items())
    cluster.helm(*chart, "--set", given, "--wait", "--timeout=600s")


@contextmanager
def trading_namespace(cluster: Client, ticks: bool = True, close: int = 120) -> Iterator[Namespace]:
    """A namespace open for trading; everything is taken away afterwards. `ticks`: from a pod of the test's
    own; else they are the feed's. `close`: seconds to close an account."""
    set_deadlines(cluster, close)
    namespace = Namespace(cluster, TRADING)
    namespace.open()
    if ticks:
        cluster.api.create(ticker())
        cluster.wait_until(lambda: is_ready(cluster.api.get("pod/ticker", RELEASE)), "no ticks are sent", 300)
    try:
        yield namespace
    finally:
        if ticks:
            cluster.kubectl("delete", "pod/ticker", "-n", RELEASE, "--grace-period=1")
        namespace.delete()
        namespace.wait_gone()


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


def wait(
    namespace: Namespace, name: str, holds: Callable[[Object], object], what: str, timeout: float = 180
) -> Object:
    """The Strategy once `holds` of it."""

    def there() -> Object | None:
        found = namespace.get(f"strategy/{name}")
        return found if holds(found) else None

    def status() -> str:
        return f"{what}: {json.dumps(namespace.get(f'strategy/{name}').get('status'), indent=1)}"

    found = namespace.wait_until(there, status, timeout)
    assert found is not None
    return found


def wait_phase(namespace: Namespace, name: str, phase: str, timeout: float = 180) -> Object:
    """The Strategy once it is in this phase, as seen of its newest generation."""

    def there(found: Object) -> bool:
        status = found.get("status", {})
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and status.get("phase") == phase

    return wait(namespace, name, there, f"{name} is not {phase}", timeout)


def wait_reason(namespace: Namespace, name: str, reason: str, kind: str = "Ready") -> Object:
    """The Strategy once its condition has this reason, as seen of its newest generation."""

    def given(found: Object) -> bool:
        condition = conditions(found).get(kind, {})
        current = condition.get("observedGeneration") == found["metadata"]["generation"]
        return current and condition.get("reason") == reason

    return wait(namespace, name, given, f"{name} does not say {reason}")


def bots(namespace: Namespace, name: str) -> list[Object]:
    """The pods of the Strategy's bot."""
    return namespace.list("pod", f"sigma-x.io/strategy={name},app.kubernetes.io/component=bot")


def wait_steady(namespace: Namespace, name: str) -> Object:
    """The Strategy once its bot runs and nothing is on its way that would end it: its StatefulSet's last
    change is seen to, its only pod is Ready, and the status is of that pod."""

    def steady(found: Object) -> bool:
        wanted = namespace.find(f"statefulset/{name}")
        if wanted is None:
            return False
        seen = wanted["status"].get("observedGeneration") == wanted["metadata"]["generation"]
        pods = bots(namespace, name)
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]
        if not seen or wanted["spec"]["replicas"] != 1 or len(pods) != 1 or len(ready) != 1:
            return False
        status = found["status"]
        current = status["observedGeneration"] == found["metadata"]["generation"]
        revision = ready[0]["metadata"]["labels"]["sigma-x.io/revision"]
        return current and status["phase"] == "Running" and status.get("revision") == revision

    wait_phase(namespace, name, "Running")
    return wait(namespace, name, steady, f"{name} does not come to rest")


def is_ready(pod: Object) -> bool:
    """Whether its probes say so."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(pod: Object) -> int:
    """How often the bot's container was started again."""
    return sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))


def sigkill_bot(namespace: Namespace, name: str) -> None:
    """SIGKILL the bot's process on the node, as its out-of-memory killer would; on a cluster elsewhere,
    SIGTERM from inside."""
    uid = namespace.get(f"pod/{name}-0")["metadata"]["uid"]
    cluster = namespace.cluster
    if isinstance(cluster, Cluster):
        (bot,) = [p for p in pod_processes(cluster.cgroup) if p.pod == uid and b"sigma-app" in p.command]
        bot.kill()
        return
    kill = "import os; os.kill(1, 15)"
    namespace.kubectl("exec", f"{name}-0", "--", "/opt/sigma/bin/python", "-c", kill)


def delete(namespace: Namespace, name: str, *options: str) -> float:
    """Delete the Strategy and wait until it is gone; how long that took."""
    began = time.monotonic()
    namespace.kubectl("delete", f"strategy/{name}", "--timeout=300s", *options)
    return time.monotonic() - began
