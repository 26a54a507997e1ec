"""Who reaches whom, tried from inside pods: NetworkPolicies are enforced on the node as k3s does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.api import Object
from tests.cluster.namespace import RELEASE
from tests.cluster.onenode.client import Client
from tests.cluster.onenode.cluster import Cluster
from tests.cluster.strategies import IMAGE, strategy

BOTS, METRICS, ELSEWHERE = "default", "monitoring", "elsewhere"
# Connects to every HOST:PORT it is given, all at once, and says which opened.
PROBE = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def opens(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=4).close()
    except OSError:
        return False
    return True

places = sys.argv[1:]
with ThreadPoolExecutor(len(places)) as pool:
    print(*[place for place, opened in zip(places, pool.map(opens, places)) if opened])
"""
STORES = {"redis": f"sigma-x-redis.{RELEASE}.svc:6379", "postgres": f"sigma-x-postgres.{RELEASE}.svc:5432"}
VENUE = {"venue": f"sigma-x-emulator.{RELEASE}.svc:9000"}
PARTS = ("operator", "feed")
# Addresses that the node gets for the test, where a listener stands for a venue abroad and for the service by
# which a cloud hands out its keys.
OUTSIDE = {"abroad": "203.0.113.1:443", "metadata": "169.254.169.254:443"}
LISTENER = """
import socket

server = socket.create_server(("0.0.0.0", 443), backlog=64)
while True:
    server.accept()[0].close()
"""
OPEN = {"dns", "api", "api-node", "kubelet", "abroad", "metadata"}  # to a pod that no policy selects


def pod(name: str, namespace: str, **labels: str) -> Object:
    """A pod that waits to be asked."""
    container = {
        "name": "probe",
        "image": IMAGE,
        "command": ["/opt/sigma/bin/python", "-c", "import signal; signal.pause()"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    profile = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": profile,
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def outside() -> Object:
    """A listener on every address of the node."""
    container = {
        "name": "outside",
        "image": IMAGE,
        "command": ["/opt/sigma/bin/python", "-c", LISTENER],
        "securityContext": {"runAsUser": 0},
    }
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    metadata = {"name": "outside", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def give_addresses(cluster: Cluster) -> None:
    """They go with the node's namespace."""
    for place in OUTSIDE.values():
        address = f"{place.partition(':')[0]}/32"
        inside = ("nsenter", f"--target={cluster.part('kubelet')}", "--net")
        subprocess.run([*inside, "ip", "address", "replace", address, "dev", "lo"], check=True)


def bot(name: str) -> Object:
    manifest = strategy(name, deletionPolicy="leave")
    manifest["metadata"]["namespace"] = BOTS
    return manifest


@pytest.fixture(scope="module")
def network(installed: Client) -> Iterator[Client]:
    """Two bots in one of the `desks` of the chart, and pods of other kinds that try."""
    for namespace in (METRICS, ELSEWHERE):
        installed.kubectl("create", "namespace", namespace)
    made = [
        bot("one"),
        bot("two"),
        pod("sums", BOTS, **{"sigma-x.io/backtest": "sums"}),
        pod("prometheus", METRICS),
        pod("stranger", ELSEWHERE, **{"sigma-x.io/strategy": "stranger", "sigma-x.io/backtest": "stranger"}),
    ]
    if isinstance(installed, Cluster):
        give_addresses(installed)
        made.append(outside())
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    installed.kubectl("apply", "-f", "-", stdin=listed)
    installed.kubectl("wait", "strat/one", "strat/two", "-n", BOTS, "--for=condition=Ready", "--timeout=600s")
    try:
        yield installed
    finally:
        installed.kubectl("delete", "--timeout=300s", "--ignore-not-found", "-f", "-", stdin=listed)
        installed.kubectl("delete", "namespace", METRICS, ELSEWHERE, "--timeout=300s")


def targets(cluster: Client) -> dict[str, str]:
    """Everything that listens, by a name of this table."""
    health = {"bot": cluster.api.get("pod/two-0", BOTS)["status"]["podIP"]}
    for part in PARTS:
        listed = cluster.api.list("pod", RELEASE, f"app.kubernetes.io/component={part}")
        health[part] = listed[0]["status"]["podIP"]
    addresses = cluster.api.list("node")[0]["status"]["addresses"]
    node = next(found["address"] for found in addresses if found["type"] == "InternalIP")
    dns = cluster.api.get("service/kube-dns", "kube-system")["spec"]["clusterIP"]
    own = {"dns": f"{dns}:53", "api": "kubernetes.default.svc:443", "api-node": f"{node}:6443"}
    own["kubelet"] = f"{node}:10250"
    reached = STORES | VENUE | own | {name: f"{address}:8080" for name, address in health.items()}
    return reached | OUTSIDE if isinstance(cluster, Cluster) else reached


def opened(cluster: Client, pod: tuple[str, ...], places: dict[str, str]) -> set[str]:
    """Which of them the pod reaches."""
    command = ("exec", *pod, "--", "/opt/sigma/bin/python", "-c", PROBE, *places.values())
    output = cluster.try_kubectl(*command).split()
    return {name for name, place in places.items() if place in output}


@pytest.mark.parametrize(
    ("pod", "reaches"),
    [
        (("one-0", "-c", "bot", "-n", BOTS), {"redis", "postgres", "venue", "abroad", "dns"}),
        (("sums", "-n", BOTS), {"postgres", "dns"}),
        (("prometheus", "-n", METRICS), {"bot", *PARTS, *OPEN}),
        (("stranger", "-n", ELSEWHERE), OPEN),
        (
            ("deploy/sigma-x-operator", "-n", RELEASE),
            {"bot", "operator", "dns", "api", "api-node", "abroad", "metadata"},
        ),
        (("sts/sigma-x-feed-upbit", "-n", RELEASE), {"redis", "venue", "feed", "abroad", "dns"}),
    ],
    ids=["bot", "backtest", "prometheus", "stranger", "operator", "feed"],
)
def test_who_reaches_whom(network: Client, pod: tuple[str, ...], reaches: set[str]) -> None:
    """Everything in the table listens: what one pod can't reach, another does, and each reaches itself. Rules
    for a new pod stand a second or two after it started."""
    places = targets(network)
    last: set[str] = set()

    def as_said() -> bool:
        last.clear()
        last.update(opened(network, pod, places))
        return last == reaches & places.keys()

    try:
        network.wait_until(as_said, "")
    except AssertionError:
        pytest.fail(f"reaches {sorted(last)}, not {sorted(reaches)}")
