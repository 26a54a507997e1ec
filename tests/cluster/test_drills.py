"""Drills: two Strategies trade on the emulator, SIM and LIVE, while what they stand on is taken away. After
each both trade again by themselves, no order is lost or doubled, and every fill is booked once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.cluster.api import Object
from tests.cluster.exchange import (
    ACCOUNT,
    KEY,
    LIVE,
    SECRET,
    SIM,
    account,
    await_trading,
    check_orders,
    configure,
    journal,
    keys,
    ordered_since,
    parity,
    trader,
)
from tests.cluster.namespace import RELEASE, Namespace
from tests.cluster.onenode.client import Client, existing
from tests.cluster.onenode.cluster import Cluster
from tests.cluster.onenode.processes import MIB, memory_limit, pod_processes, pods_cgroup, proportional, shims
from tests.cluster.strategies import delete, trading_namespace, wait_phase

pytestmark = pytest.mark.skipif(
    existing() is not None, reason="would kill the parts of a cluster that is used"
)
OUTAGE_S = 30
SMALLEST = Decimal(2)  # BTC; the exchange takes orders from 5,000 KRW on, at generated prices of some 3,000
# Where memory is short the kernel spares who requests much. The limit below makes the node smaller and a
# request weigh less: this much as the 256 MiB of a LIVE bot on the whole node.
LIVE_MEMORY = "4Gi"
GREEDY = """
from sigma_bot import Strategy


class Greedy(Strategy):
    def on_start(self):
        hoard = []
        while True:
            hoard.append(b"x" * (16 << 20))

    def on_bar(self, bar, broker):
        pass
"""


@pytest.fixture(scope="module")
def workspace(installed: Client) -> Iterator[Namespace]:
    """Both traders, trading."""
    # An order in doubt is looked up for 45 s at Upbit before it counts as never arrived, then all is closed.
    with trading_namespace(installed, ticks=False, close=180) as namespace:
        began = time.monotonic()
        live = trader(LIVE, "live", bot={"memory": LIVE_MEMORY})
        namespace.apply(keys(KEY, SECRET), trader(SIM, "sim"), live)
        wait_phase(namespace, SIM, "Running")
        wait_phase(namespace, LIVE, "Running")
        print(f"apply of a SIM and a LIVE trader to Running: {time.monotonic() - began:.1f} s")
        await_trading(namespace)
        yield namespace


@pytest.fixture(scope="module")
def node(workspace: Namespace) -> Cluster:
    """What they stand on."""
    assert isinstance(workspace.cluster, Cluster)
    return workspace.cluster


def check_recovered(workspace: Namespace, drill: str) -> None:
    """Both trade again, and nothing is wrong with their orders."""
    print(f"{drill}: both trade again after {await_trading(workspace):.1f} s")
    check_orders(workspace)


def pods(workspace: Namespace, namespace: str) -> dict[str, Object]:
    """By name, those that are to run for ever."""
    found = workspace.api.list("pod", namespace)
    lasting = [pod for pod in found if pod["spec"]["restartPolicy"] == "Always"]
    return {pod["metadata"]["name"]: pod for pod in lasting}


def instances(workspace: Namespace) -> dict[str, tuple[str, int]]:
    """Every pod's uid and how often its containers were started again."""
    out = {}
    for namespace in (workspace.name, RELEASE):
        for name, pod in pods(workspace, namespace).items():
            restarts = sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
            out[name] = (pod["metadata"]["uid"], restarts)
    return out


def component(workspace: Namespace, name: str) -> Object:
    """The pod of the chart with this component."""
    found = workspace.api.list("pod", RELEASE, f"app.kubernetes.io/component={name}")
    (pod,) = [pod for pod in found if pod["spec"]["restartPolicy"] == "Always"]
    return dict(pod)


def sigkill(node: Cluster, *uids: str, pause: bool = False) -> int:
    """SIGKILL everything in these pods, the sandbox too if `pause`; how many processes that were."""
    doomed = [p for p in pod_processes(node.cgroup) if p.pod in uids and (pause or not p.pause)]
    for process in doomed:
        process.kill()
    return len(doomed)


def test_they_trade_on_the_emulator(workspace: Namespace) -> None:
    def busy() -> bool:
        seen = {order["status"] for order in account(workspace)["orders"]}
        return {"filled", "cancelled"} <= seen and len(journal(workspace, SIM)["fills"]) > 3

    workspace.wait_until(busy, "they do not take, rest and cancel")
    check_orders(workspace)
    found = workspace.get(f"strategy/{LIVE}")["status"]
    assert (found["mode"], found["phase"]) == ("live", "Running")
    assert "sigma-live" in found["image"]


def test_memory_of_the_whole_and_of_a_sim_pod(workspace: Namespace, node: Cluster) -> None:
    processes = pod_processes(node.cgroup)

    def cost(pod: Object) -> tuple[float, float]:
        """MiB of the pod's own processes, and of its shim and pause."""
        own = [p for p in processes if p.pod == pod["metadata"]["uid"]]
        pauses = [p for p in own if p.pause]
        around = [p.pid for p in pauses] + shims(p.container for p in pauses)
        return proportional(p.pid for p in own if not p.pause), proportional(around)

    listed = pods(workspace, RELEASE) | pods(workspace, workspace.name)
    costs = {name: cost(pod) for name, pod in sorted(listed.items())}
    for name, (own, around) in costs.items():
        print(f"{name}: {own:.0f} MiB and {around:.1f} MiB for shim and pause")
    counted = [c for name, c in costs.items() if "emulator" not in name and not name.startswith(LIVE)]
    whole = sum(own + around for own, around in counted)
    one = sum(costs[f"{SIM}-0"])
    print(f"operator, feed, Redis, Postgres, 1 SIM bot: {whole:.0f} MiB")
    print(f"a SIM pod: {one:.1f} MiB; {12 * 1024 / one:.0f} fit in 12 GiB")
    assert whole <= 500
    assert 12 * 1024 / one >= 120


def test_the_bot_is_killed(workspace: Namespace, node: Cluster) -> None:
    own = f"{LIVE}-0"
    before = instances(workspace)[own]
    assert sigkill(node, before[0])
    began = time.monotonic()
    # the kubelet tells this a second later
    workspace.wait_until(lambda: instances(workspace)[own] != before, "it is not started again")
    check_recovered(workspace, "LIVE bot killed")
    print(f"LIVE bot killed to both trade again: {time.monotonic() - began:.1f} s")
    assert instances(workspace)[own] == (before[0], before[1] + 1)


@pytest.mark.parametrize("name", ["operator", "redis", "postgres"])
def test_a_part_is_killed(workspace: Namespace, node: Cluster, name: str) -> None:
    """The bots outlive it: none is started again for it."""
    before, pod = instances(workspace), component(workspace, name)
    own = pod["metadata"]["name"]
    assert sigkill(node, pod["metadata"]["uid"])
    workspace.wait_until(
        lambda: instances(workspace)[own][1] > before[own][1], f"{name} is not started again"
    )
    check_recovered(workspace, f"{name} killed")
    workspace.kubectl("wait", f"pod/{own}", "-n", RELEASE, "--for=condition=Ready", "--timeout=300s")
    bots = (f"{SIM}-0", f"{LIVE}-0")
    after = instances(workspace)
    assert [after[bot] for bot in bots] == [before[bot] for bot in bots]


def test_the_kubelet_is_killed_and_a_bot_meanwhile(workspace: Namespace, node: Cluster) -> None:
    before, began = instances(workspace), time.time_ns()
    with node.without("kubelet"):
        assert sigkill(node, before[f"{SIM}-0"][0])

        def went_on() -> bool:
            return any(order["created"] > began for order in account(workspace)["orders"])

        workspace.wait_until(went_on, "the LIVE bot does not trade without the kubelet")
    workspace.wait_until(
        lambda: instances(workspace)[f"{SIM}-0"] != before[f"{SIM}-0"], "the SIM bot is not started again"
    )
    check_recovered(workspace, "kubelet killed, and the SIM bot meanwhile")
    after = instances(workspace)
    assert after.pop(f"{SIM}-0")[1] == before.pop(f"{SIM}-0")[1] + 1
    assert after == before


def test_the_secret_is_rotated(workspace: Namespace) -> None:
    def sessions() -> int:
        status = f"api/v1/namespaces/{workspace.name}/pods/{LIVE}-0:8080/proxy/status"
        return int(workspace.api.request("GET", status)["sessions"])

    before, first = instances(workspace), sessions()
    configure(workspace, "accounts", name=ACCOUNT, key="second-key", secret="second-secret")
    workspace.apply(keys("second-key", "second-secret"))
    # The kubelet brings a changed Secret within a minute or so; when the pod changes it looks at once.
    workspace.kubectl("annotate", f"pod/{LIVE}-0", "look=again")
    began = time.monotonic()
    workspace.wait_until(lambda: sessions() > first, "the bot does not follow the new keys", 240)
    print(f"Secret rotated to connected anew: {time.monotonic() - began:.1f} s")
    configure(workspace, "accounts", name=ACCOUNT, key=KEY, secret=SECRET, expired=True)
    check_recovered(workspace, "Secret rotated, the old key expired")
    assert instances(workspace) == before, "the same bot, started once"
    assert workspace.kubectl("get", "pods", "-o", "name").split() == [f"pod/{LIVE}-0", f"pod/{SIM}-0"]


def test_the_api_server_is_away(workspace: Namespace, node: Cluster) -> None:
    before = instances(workspace)
    with node.without("kube-apiserver"):
        began = time.time_ns()
        time.sleep(OUTAGE_S)  # this is the drill
        ended = time.time_ns()
    workspace.wait_until(
        lambda: workspace.try_kubectl("get", "--raw", "/readyz"), "the API server does not come back"
    )
    check_recovered(workspace, f"API server away for {OUTAGE_S} s")
    live = [order["created"] for order in account(workspace)["orders"]]
    sim = [row["created"] for row in journal(workspace, SIM)["orders"]]
    made = [sum(began <= moment <= ended for moment in orders) for orders in (live, sim)]
    print(f"ordered while it was away: LIVE {made[0]}, SIM {made[1]}")
    assert min(made) > 0
    bots = (f"{SIM}-0", f"{LIVE}-0")
    after = instances(workspace)
    assert [after[bot] for bot in bots] == [before[bot] for bot in bots]


def test_the_node_is_out_of_memory(workspace: Namespace, node: Cluster) -> None:
    """All pods together get a limit, since the machine below is shared: the kernel chooses among them as it
    would on a full node. The backtest may by itself take more than there is. While its memory is not free yet
    the kernel may take another one for it, which is not LIVE."""
    before, began = instances(workspace), time.time_ns()
    spec: Object = {
        "strategy": {"code": GREEDY},
        "markets": [{"symbol": "GOOG", "tickSize": "0.01", "lotSize": "1"}],
        "data": {"source": "sample"},
        "account": {"currency": "USD", "cash": "100000"},
        "job": {"retries": 0},
    }
    greedy = {"apiVersion": "sigma-x.io/v1alpha1", "kind": "Backtest", "metadata": {"name": "greedy"}}
    with memory_limit(pods_cgroup(node.cgroup), 1200 * MIB):
        workspace.apply({**greedy, "spec": spec})
        workspace.kubectl("wait", "bt/greedy", "--for=condition=Failed", "--timeout=300s")
        workspace.wait_until(lambda: ordered_since(workspace, began), "the bots do not go on")
    pod, *_ = workspace.list("pod", "sigma-x.io/backtest=greedy")
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 137
    after = instances(workspace)
    print(f"ended besides the backtest: {[name for name in before if after[name] != before[name]] or 'none'}")
    assert after[f"{LIVE}-0"] == before[f"{LIVE}-0"], "LIVE survives"
    check_recovered(workspace, "node out of memory by a backtest")


def test_every_container_is_killed_at_once(workspace: Namespace, node: Cluster) -> None:
    before = instances(workspace)
    spared = component(workspace, "emulator")["metadata"]
    before.pop(spared["name"])
    uids = {process.pod for process in pod_processes(node.cgroup)} - {spared["uid"]}
    began = time.monotonic()
    print(f"killed {sigkill(node, *uids, pause=True)} processes of {len(uids)} pods")

    def started_again() -> bool:
        after = instances(workspace)
        return all(after.get(name, life) != life for name, life in before.items())

    workspace.wait_until(started_again, "not every pod is started again")
    check_recovered(workspace, "every container killed at once")
    for namespace in (workspace.name, RELEASE):
        workspace.kubectl(
            "wait",
            "pods",
            "-n",
            namespace,
            *pods(workspace, namespace),
            "--for=condition=Ready",
            "--timeout=300s",
        )
    print(f"every container killed at once to everything Ready: {time.monotonic() - began:.1f} s")


def test_sim_did_what_a_backtest_does(workspace: Namespace) -> None:
    """Through all that, with bot, feed and stores killed: the same orders and fills, to the last digit."""
    output = parity(workspace)
    print(output)
    assert "the same" in output


def test_deletion_closes_at_the_exchange(workspace: Namespace) -> None:
    workspace.apply(trader(LIVE, "live", deletionPolicy="flatten"))
    wait_phase(workspace, LIVE, "Running")
    print(f"LIVE deleted with its position closed in {delete(workspace, LIVE):.1f} s")
    there = account(workspace)
    assert all(order["status"] != "open" for order in there["orders"])
    left = Decimal(there["balances"]["BTC"]["free"]) - Decimal(there["opening"]["BTC"])
    assert 0 <= left < SMALLEST, "no more is left than the exchange would not take"
    check_orders(workspace)


def test_a_namespace_is_deleted_with_bots_that_trade(workspace: Namespace) -> None:
    workspace.apply(trader(LIVE, "live"))
    wait_phase(workspace, LIVE, "Running")
    await_trading(workspace)
    began = time.monotonic()
    workspace.delete()
    configure(workspace, "player", paused=True)  # or the market would fill what rests once its bot has ended
    try:
        workspace.wait_gone()
    finally:
        configure(workspace, "player", paused=False)
    print(f"namespace deleted with two traders in {time.monotonic() - began:.1f} s")
    check_orders(workspace)
