"""Measure the operator on a cluster of its own: `make bench-cluster`. Prints the table of docs/benchmarks.md.

Everything, this program too, runs on one machine; measure on one that does nothing else.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.cluster.api import Object
from tests.cluster.namespace import RELEASE, Namespace
from tests.cluster.onenode.cluster import Cluster, claim
from tests.cluster.onenode.images import BACKTEST, POSTGRES, REDIS, SIGMA
from tests.cluster.onenode.processes import MIB, pod_processes, proportional
from tests.cluster.onenode.tools import ROOT, prepare
from tests.cluster.strategies import (
    EXAMPLES,
    delete,
    sigkill_bot,
    strategy,
    trading_namespace,
    wait_phase,
    wait_steady,
    with_code,
)

BARS = 1_000_000
MANY = 500
TIMES = 5
REST_S, SETTLE_S, LIMIT_S = 310, 45, 600  # at rest, every Strategy is looked at once in 300 s
# An order every other tick, so that trading is seen at once.
CODE = """
from sigma_bot import Strategy


class Restless(Strategy):
    beat: int = 0

    def on_tick(self, tick, broker):
        self.beat += 1
        if self.beat % 4 == 1:
            broker.buy(0.001)
        elif self.beat % 4 == 3:
            broker.close()
"""


def say(what: str, measured: str) -> None:
    """One line of the table."""
    print(f"| {what} | {measured} |", flush=True)


def spread(seconds: list[float]) -> str:
    """Median and range."""
    middle = statistics.median(seconds)
    return f"{middle:.1f} s ({min(seconds):.1f} to {max(seconds):.1f}, n = {len(seconds)})"


# --- bots and runs ------------------------------------------------------------------------------------------


def backtests(namespace: Namespace) -> None:
    """A Backtest with a million bars of one minute, applied until it is Complete."""
    manifest: Object = yaml.safe_load((EXAMPLES / "backtest.yaml").read_text())
    spec = manifest["spec"]
    spec["data"] = {"source": "synthetic", "kind": "bars", "timeframe": "1m"}
    spec["markets"] = [{"symbol": "AAA", "lotSize": "0.001"}]
    spec["period"] = {"from": "2023-01-01", "to": "2024-11-25T10:40:00Z"}
    took, inside = [], []
    for number in range(TIMES):
        manifest["metadata"]["name"] = f"million-{number}"
        began = time.monotonic()
        namespace.apply(manifest)
        what = f"backtest/{manifest['metadata']['name']}"
        namespace.kubectl("wait", what, "--for=condition=Complete", f"--timeout={LIMIT_S}s")
        took.append(time.monotonic() - began)
        result = namespace.get(what)["status"]["result"]
        assert result["events"] >= BARS, result
        inside.append(result["seconds"])
    say(f"apply Backtest → Complete, {result['events']:,} bars", spread(took))
    print(f"  inside the pod, the last: {json.dumps(inside[-1])}")


def orders(namespace: Namespace, name: str) -> int:
    """How many orders of the bot the journal has."""
    query = (
        f"SELECT count(*) FROM orders o JOIN bots b ON b.id = o.bot WHERE b.name = '{namespace.name}/{name}'"
    )
    command = ("psql", "-XAtq", "-c", query, "postgresql://postgres@/sigma?host=/run/postgresql")
    target = ("exec", "-n", RELEASE, "sigma-x-postgres-0", "-c", "postgres", "--")
    return int(namespace.kubectl(*target, *command))


def starts(namespace: Namespace) -> None:
    """A Strategy applied until its bot processes ticks, and a bot killed until it trades again."""
    took = []
    for number in range(TIMES):
        began = time.monotonic()
        namespace.apply(strategy(f"starts-{number}", deletionPolicy="leave"))
        wait_phase(namespace, f"starts-{number}", "Running")
        took.append(time.monotonic() - began)
        delete(namespace, f"starts-{number}")
    say("apply → bot processing ticks, image on the node", spread(took))
    again, seen = [], []
    for number in range(TIMES):
        # One bot for each: the kubelet keeps a pod waiting that dies twice in ten minutes.
        name = f"restless-{number}"
        manifest = with_code(strategy(name, deletionPolicy="leave"), CODE)
        manifest["spec"]["strategy"].pop("params")
        namespace.apply(manifest)
        wait_steady(namespace, name)
        namespace.wait_until(lambda name=name: orders(namespace, name) > 0, "it does not trade", LIMIT_S)  # type: ignore[misc]
        sigkill_bot(namespace, name)
        began, before = time.monotonic(), orders(namespace, name)
        namespace.wait_until(
            lambda name=name, before=before: orders(namespace, name) > before,  # type: ignore[misc]
            "it does not trade again",
            LIMIT_S,
        )
        again.append(time.monotonic() - began)
        wait_steady(namespace, name)
        seen.append(time.monotonic() - began)
        delete(namespace, name)
    say("bot killed → its next order in the journal", spread(again))
    say("bot killed → Strategy Running again", spread(seen))


# --- many ---------------------------------------------------------------------------------------------------


def operator(namespace: Namespace) -> int:
    """The operator's process."""
    assert isinstance(namespace.cluster, Cluster)
    names = (b"sigma_operator", b"sigma-operator")
    processes = pod_processes(namespace.cluster.cgroup)
    (pid,) = [p.pid for p in processes if any(name in p.command for name in names)]
    return pid


def resident(pid: int) -> str:
    """MiB now, at most until now, and as its proportional share."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {
        name: int(line.split()[1]) for line in lines for name in ("VmRSS", "VmHWM") if line.startswith(name)
    }
    now, most = (kib[name] * 1024 / MIB for name in ("VmRSS", "VmHWM"))
    return f"{now:.0f} MiB resident ({most:.0f} at most), {proportional([pid]):.0f} proportional"


def processor(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(namespace: Namespace) -> Counter[str]:
    """What the operator has asked of the API server, by verb, as it counts itself."""
    listed = namespace.api.list("pod", RELEASE, "app.kubernetes.io/component=operator")
    pod = listed[0]["metadata"]["name"]
    output = namespace.api.request("GET", f"api/v1/namespaces/{RELEASE}/pods/{pod}:8080/proxy/metrics")
    calls: Counter[str] = Counter()
    for verb, count in re.findall(r'^sigmax_api_requests_total\{.*verb="([a-z]+)".*\} (\S+)$', output, re.M):
        calls[verb] += int(float(count))
    return calls


def many(namespace: Namespace) -> None:
    """500 Strategies that are suspended: how long until all are seen to, and what they cost then."""
    names = [f"many-{number}" for number in range(MANY)]
    began = time.monotonic()
    namespace.apply(*(strategy(name, suspend=True, deletionPolicy="leave") for name in names))
    applied = time.monotonic() - began

    def phases() -> int:
        return sum(s.get("status", {}).get("phase") == "Suspended" for s in namespace.list("strategy"))

    def made() -> int:
        return sum(s["metadata"]["name"].startswith("many-") for s in namespace.list("statefulset"))

    namespace.wait_until(lambda: phases() == MANY and made() == MANY, "not all are reconciled", LIMIT_S)
    took = time.monotonic() - began
    say(
        f"{MANY} suspended Strategies at once → all reconciled",
        f"{took:.0f} s, of that kubectl {applied:.0f} s",
    )
    time.sleep(SETTLE_S)
    say("the operator then", resident(operator(namespace)))
    at_rest(namespace)
    namespace.kubectl("rollout", "restart", "deployment/sigma-x-operator", "-n", RELEASE)
    namespace.kubectl(
        "rollout", "status", "deployment/sigma-x-operator", "-n", RELEASE, f"--timeout={LIMIT_S}s"
    )
    time.sleep(2 * SETTLE_S)
    say("started anew beside them", resident(operator(namespace)))
    began = time.monotonic()
    namespace.kubectl("delete", "strat", *names, f"--timeout={LIMIT_S}s")
    say(f"{MANY} deleted (leave)", f"{time.monotonic() - began:.0f} s")


def at_rest(namespace: Namespace) -> None:
    """Processor time and calls of the operator while nothing happens."""
    pid = operator(namespace)
    used, before = processor(pid), requests(namespace)
    time.sleep(REST_S)
    share, calls = (processor(pid) - used) / REST_S, requests(namespace) - before
    reads = calls.pop("get", 0)
    say(f"at rest, {REST_S} s", f"{100 * share:.1f} % of a core, {reads} reads, {calls.total()} writes")


def main() -> None:
    """A cluster, the chart, all figures, and nothing left."""
    node = Cluster(claim("bench"), prepare())
    node.down()  # one that a killed run left half-way
    node.up(SIGMA, REDIS, POSTGRES, BACKTEST, bound=True)
    try:
        node.kubectl("create", "namespace", RELEASE)
        began = time.monotonic()
        chart = ROOT / "charts" / "sigma-x"
        node.helm("install", "sigma-x", chart, "-n", RELEASE, "--wait", f"--timeout={LIMIT_S}s")
        say("helm install → Ready", f"{time.monotonic() - began:.0f} s")
        chosen = sys.argv[1:] or ["backtests", "starts", "many"]
        with trading_namespace(node) as namespace:
            for part in (backtests, starts, many):
                if part.__name__ in chosen:
                    part(namespace)
    finally:
        node.down()


if __name__ == "__main__":
    main()
