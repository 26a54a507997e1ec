"""What a running Strategy sees of upgrades of the chart and of the definitions, and of the chart's removal
and return: nothing but a pause. Stands last: it takes away what the others use."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import Object
from tests.cluster.namespace import RELEASE, Namespace, conditions
from tests.cluster.onenode.client import Client, existing
from tests.cluster.onenode.tools import ROOT
from tests.cluster.strategies import delete, strategy, trading_namespace, wait, wait_phase, with_code

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
def workspace(installed: Client) -> Iterator[Namespace]:
    # As long as in the drills: neither is about the deadline, and another one would take an upgrade.
    with trading_namespace(installed, ticks=False, close=180) as namespace:
        manifest = with_code(strategy(NAME, deletionPolicy="leave"), CODE)
        manifest["spec"]["strategy"].pop("params")
        namespace.apply(manifest)
        wait_phase(namespace, NAME, "Running")
        yield namespace
        delete(namespace, NAME)


def rows_of(workspace: Namespace, verb: str) -> list[Object]:
    """What `kubectl sigma VERB` says of the bot."""
    more = [] if verb == "positions" else ["--limit", "100000"]
    found: list[Object] = json.loads(workspace.sigma(verb, NAME, "--output", "json", *more))
    return found


def orders(workspace: Namespace) -> list[str]:
    """The bot's orders by their ids, the oldest first."""
    return [entry["row"]["client_id"] for entry in reversed(rows_of(workspace, "orders"))]


def process(workspace: Namespace) -> tuple[str, int, str]:
    """What is another one when another process trades: pod, restarts, container."""
    pod = workspace.get(f"pod/{NAME}-0")
    (container,) = pod["status"]["containerStatuses"]
    return pod["metadata"]["uid"], container["restartCount"], container["containerID"]


def traders(workspace: Namespace) -> int:
    """Pods of the bot."""
    listed = workspace.list("pod", f"sigma-x.io/strategy={NAME}")
    return sum(pod["metadata"]["name"] == f"{NAME}-0" for pod in listed)


def more_orders(workspace: Namespace) -> list[str]:
    """All orders, once there are more than now."""
    before = len(orders(workspace))
    try:
        workspace.wait_until(lambda: len(orders(workspace)) > before, "it sends no orders")
    except AssertionError:
        print(workspace.kubectl("logs", f"{NAME}-0", "--tail=40"))
        raise
    return orders(workspace)


def operator_pod(workspace: Namespace) -> str:
    listed = workspace.api.list("pod", RELEASE, "app.kubernetes.io/component=operator")
    return " ".join(pod["metadata"]["uid"] for pod in listed)


def helm(workspace: Namespace, *arguments: object) -> str:
    """What helm prints; what it complains of fails the test."""
    try:
        return workspace.cluster.helm(*arguments)
    except subprocess.CalledProcessError as problem:
        pytest.fail(f"helm: {problem.stderr}\n{workspace.kubectl('get', 'pods', '-A')}")


def test_a_newer_chart_with_newer_definitions_leaves_the_bot_alone(
    workspace: Namespace, tmp_path: Path
) -> None:
    before, revision = process(workspace), workspace.get(f"strategy/{NAME}")["status"]["revision"]
    had, operator = more_orders(workspace), operator_pod(workspace)
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
    helm(workspace, "upgrade", "sigma-x", newer, "-n", RELEASE, *values, "--wait", "--timeout=600s")
    assert "next version" in workspace.kubectl("explain", "strategies.status.later")
    assert operator_pod(workspace) != operator, "the operator is a new one"
    patch = json.dumps({"spec": {"deletionPolicy": "cancel"}})
    workspace.kubectl("patch", f"strat/{NAME}", "--type=merge", "-p", patch)
    found = wait_phase(workspace, NAME, "Running")  # as seen of the newest generation: by the new operator
    assert found["status"]["revision"] == revision
    assert conditions(found)["Progressing"]["reason"] == "Settled"
    assert all(
        c["observedGeneration"] == found["metadata"]["generation"] for c in found["status"]["conditions"]
    )
    now = more_orders(workspace)
    assert now[: len(had)] == had
    assert len(set(now)) == len(now)
    assert process(workspace) == before, "the same process all along: nobody else can have traded"
    helm(workspace, "upgrade", "sigma-x", CHART, "-n", RELEASE, "--reuse-values", "--wait", "--timeout=600s")
    assert process(workspace) == before


@pytest.mark.skipif(existing() is not None, reason="would uninstall what an existing cluster runs")
def test_removed_and_installed_again_it_goes_on_with_its_own(workspace: Namespace) -> None:
    revision = workspace.get(f"strategy/{NAME}")["status"]["revision"]
    had = more_orders(workspace)
    values = json.loads(helm(workspace, "get", "values", "sigma-x", "-n", RELEASE, "-o", "json"))
    helm(workspace, "uninstall", "sigma-x", "-n", RELEASE, "--wait", "--timeout=600s")
    left = workspace.get(f"strategy/{NAME}")
    assert not left["metadata"].get("finalizers"), "it could be deleted now"
    assert traders(workspace) == 1
    install = ("install", "sigma-x", CHART, "-n", RELEASE, "--wait", "--timeout=600s")
    helm(workspace, *install, *(f"--set-json={name}={json.dumps(value)}" for name, value in values.items()))
    for name in connections(workspace):  # the passwords are new ones
        workspace.copy_secret(name)
    workspace.kubectl("delete", f"pod/{NAME}-0")
    wait_phase(workspace, NAME, "Running")
    now = more_orders(workspace)
    assert now[: len(had)] == had, "its history is kept"
    assert len(set(now)) == len(now)
    assert traders(workspace) == 1
    found = wait(workspace, NAME, lambda r: r["metadata"].get("finalizers"), "it is not taken up again")
    assert found["status"]["revision"] == revision
    assert [entry["outcome"] for entry in found["status"]["revisions"]] == ["Ready"]
    workspace.kubectl("patch", f"strat/{NAME}", "--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))
    wait_phase(workspace, NAME, "Suspended")
    rows = [entry["row"] for entry in rows_of(workspace, "fills")]
    traded = sum(Decimal(row["quantity"]) * (1 if row["side"] == "buy" else -1) for row in rows)
    held = sum(Decimal(entry["quantity"]) for entry in rows_of(workspace, "positions"))
    assert held == traded, "what it holds is what it bought and sold, then and now"


def connections(workspace: Namespace) -> list[str]:
    """The Secrets that the namespace was given when it was opened."""
    names = [secret["metadata"]["name"] for secret in workspace.list("secret")]
    return [name for name in names if name.startswith("sigma-x-")]
