"""What a running Strategy sees of upgrades of the chart and of the definitions, and of the chart's removal
and return: nothing but a pause. Stands last: it takes away what the others use."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from floor import (
    FLOOR,
    IN,
    RELEASE,
    apply,
    conditions,
    copy_secret,
    delete,
    floor,
    get,
    strategy,
    wait,
    wait_phase,
    with_code,
)
from onenode.client import Client, existing

from conftest import ROOT

Object = dict[str, Any]
Until = Callable[..., None]
CHART = ROOT / "charts" / "sigma-x"
NAME = "veteran"
# An order every second, in and out in turn.
CODE = """
from sigma_bot import Strategy


class Turns(Strategy):
    ticks: int

    def on_tick(self, tick, broker):
        self.ticks += 1
        if self.ticks % 10 == 0:
            if broker.position > 0:
                broker.close()
            else:
                broker.target_fraction(0.01)
"""


@pytest.fixture(scope="module")
def desk(installed: object) -> Iterator[Client]:
    assert isinstance(installed, Client)
    with floor(installed, ticks=False) as cluster:
        manifest = with_code(strategy(NAME, deletionPolicy="leave"), CODE)
        manifest["spec"]["strategy"].pop("params")
        apply(cluster, manifest)
        wait_phase(cluster, NAME, "Running")
        yield cluster
        delete(cluster, NAME)


def told(cluster: Client, verb: str) -> list[Object]:
    """What `kubectl sigma VERB` says of the bot."""
    more = [] if verb == "positions" else ["--limit", "100000"]
    found: list[Object] = json.loads(cluster.sigma(*IN, verb, NAME, "--output", "json", *more))
    return found


def orders(cluster: Client) -> list[str]:
    """The bot's orders by their ids, the oldest first."""
    return [entry["row"]["client_id"] for entry in reversed(told(cluster, "orders"))]


def process(cluster: Client) -> tuple[str, int, str]:
    """What is another one when another process trades: pod, restarts, container."""
    pod = get(cluster, f"pod/{NAME}-0")
    (container,) = pod["status"]["containerStatuses"]
    return pod["metadata"]["uid"], container["restartCount"], container["containerID"]


def traders(cluster: Client) -> int:
    """Pods of the bot."""
    listed = cluster.kubectl("get", "pods", *IN, "-l", f"sigma-x.io/strategy={NAME}", "-o", "name")
    return listed.count(f"{NAME}-0")


def more_orders(cluster: Client, until: Until) -> list[str]:
    """All orders, once there are more than now."""
    before = len(orders(cluster))
    try:
        until(lambda: len(orders(cluster)) > before, "it sends no orders")
    except AssertionError:
        print(cluster.kubectl("logs", f"{NAME}-0", *IN, "--tail=40"))
        raise
    return orders(cluster)


def operator_pod(cluster: Client) -> str:
    selector = ("-l", "app.kubernetes.io/component=operator", "-o", "jsonpath={.items[*].metadata.uid}")
    return cluster.kubectl("get", "pods", "-n", RELEASE, *selector)


def helm(cluster: Client, *arguments: object) -> str:
    """What helm prints; what it complains of fails the test."""
    try:
        return cluster.helm(*arguments)
    except subprocess.CalledProcessError as problem:
        pytest.fail(f"helm: {problem.stderr}\n{cluster.kubectl('get', 'pods', '-A')}")


def test_a_newer_chart_with_newer_definitions_leaves_the_bot_alone(
    desk: Client, tmp_path: Path, until: Until
) -> None:
    before, revision = process(desk), get(desk, f"strat/{NAME}")["status"]["revision"]
    had, operator = more_orders(desk, until), operator_pod(desk)
    newer = tmp_path / "sigma-x"
    shutil.copytree(CHART, newer)
    file = newer / "files" / "crds" / "strategies.sigma-x.io.yaml"
    definition = yaml.safe_load(file.read_text())
    fields = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"][
        "properties"
    ]
    fields["later"] = {"type": "string", "description": "Of the next version."}
    file.write_text(yaml.safe_dump(definition))
    values = (
        "--reuse-values",
        "--set",
        "bot.closeDeadline=26",
        "--set",
        "operator.resources.requests.cpu=51m",
    )
    helm(desk, "upgrade", "sigma-x", newer, "-n", RELEASE, *values, "--wait", "--timeout=600s")
    assert "next version" in desk.kubectl("explain", "strategies.status.later")
    assert operator_pod(desk) != operator, "the operator is a new one"
    patch = json.dumps({"spec": {"deletionPolicy": "cancel"}})
    desk.kubectl("patch", f"strat/{NAME}", *IN, "--type=merge", "-p", patch)
    found = wait_phase(desk, NAME, "Running")  # as seen of the newest generation: by the new operator
    assert found["status"]["revision"] == revision
    assert conditions(found)["Progressing"]["reason"] == "Settled"
    assert all(
        c["observedGeneration"] == found["metadata"]["generation"] for c in found["status"]["conditions"]
    )
    now = more_orders(desk, until)
    assert now[: len(had)] == had
    assert len(set(now)) == len(now)
    assert process(desk) == before, "the same process all along: nobody else can have traded"
    helm(desk, "upgrade", "sigma-x", CHART, "-n", RELEASE, "--reuse-values", "--wait", "--timeout=600s")
    assert process(desk) == before


@pytest.mark.skipif(existing() is not None, reason="would uninstall what an existing cluster runs")
def test_removed_and_installed_again_it_goes_on_with_its_own(desk: Client, until: Until) -> None:
    revision = get(desk, f"strat/{NAME}")["status"]["revision"]
    had = more_orders(desk, until)
    values = json.loads(helm(desk, "get", "values", "sigma-x", "-n", RELEASE, "-o", "json"))
    helm(desk, "uninstall", "sigma-x", "-n", RELEASE, "--wait", "--timeout=600s")
    left = get(desk, f"strat/{NAME}")
    assert not left["metadata"].get("finalizers"), "it could be deleted now"
    assert traders(desk) == 1
    install = ("install", "sigma-x", CHART, "-n", RELEASE, "--wait", "--timeout=600s")
    helm(desk, *install, *(f"--set-json={name}={json.dumps(value)}" for name, value in values.items()))
    for name in connections(desk):  # the passwords are new ones
        copy_secret(desk, name, FLOOR)
    desk.kubectl("delete", f"pod/{NAME}-0", *IN)
    wait_phase(desk, NAME, "Running")
    now = more_orders(desk, until)
    assert now[: len(had)] == had, "its history is kept"
    assert len(set(now)) == len(now)
    assert traders(desk) == 1
    found = wait(desk, NAME, lambda r: r["metadata"].get("finalizers"), "it is not taken up again")
    assert found["status"]["revision"] == revision
    assert [entry["outcome"] for entry in found["status"]["revisions"]] == ["Ready"]
    desk.kubectl("patch", f"strat/{NAME}", *IN, "--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))
    wait_phase(desk, NAME, "Suspended")
    rows = [entry["row"] for entry in told(desk, "fills")]
    traded = sum(Decimal(row["quantity"]) * (1 if row["side"] == "buy" else -1) for row in rows)
    held = sum(Decimal(entry["quantity"]) for entry in told(desk, "positions"))
    assert held == traded, "what it holds is what it bought and sold, then and now"


def connections(cluster: Client) -> list[str]:
    """The Secrets that the namespace was given when it was opened."""
    listed = json.loads(cluster.kubectl("get", "secrets", *IN, "-o", "json"))["items"]
    return [
        secret["metadata"]["name"] for secret in listed if secret["metadata"]["name"].startswith("sigma-x-")
    ]
