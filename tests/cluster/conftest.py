"""The cluster the tests here run on. Ordinary test runs don't collect this folder: name it to run it.

Each process of a run has a cluster of its own, which starts with the first test that needs it and ends with
the process, in whatever way that ends. GROUPS says which tests share one. SIGMA_KUBECONFIG names an existing
cluster instead; run in one process then.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.namespace import RELEASE, Namespace
from tests.cluster.onenode.client import Client, existing
from tests.cluster.onenode.cluster import Cluster, claim
from tests.cluster.onenode.images import EVERY
from tests.cluster.onenode.tools import HERE, ROOT, prepare

# Which files of tests run one after the other on one cluster, the longest group first. What some of them do
# to operator, API server or chart would be seen by the others.
GROUPS = {
    "strategies": ("test_operator_strategy",),
    "drills": ("test_drills", "test_upgrade"),
    "install": ("test_install", "test_onenode"),
    "backtests": ("test_backtest", "test_catalogue", "test_manifests", "test_network", "test_rendering"),
}
GROUP_OF = {file: group for group, files in GROUPS.items() for file in files}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder alone unless the command line names it."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group after the other."""
    order = list(GROUP_OF)
    here = [item for item in items if item.path.is_relative_to(HERE)]
    others = [item for item in items if not item.path.is_relative_to(HERE)]
    items[:] = [*others, *sorted(here, key=lambda item: order.index(item.path.stem))]


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives whole groups to the processes, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUP_OF[Path(nodeid.partition("::")[0]).stem]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Groups run side by side."""
    config.option.loadscopereorder = False  # or the group with the most tests would be the first
    return GroupScheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests measured; a process of its own has no other way to say it."""
    for report in terminalreporter.getreports("passed"):
        for title, text in report.sections:
            if title.startswith("Captured stdout") and report.when != "teardown":
                terminalreporter.write(text)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Client]:
    """A cluster with the images on its node."""
    found: Client | None = existing()
    if found is None:
        own = Cluster(claim("test"), prepare())
        own.down()  # one that a killed run left half-way
        own.up(*EVERY, bound=True)
        found = own
    else:
        found.import_images(*EVERY)
    try:
        yield found
    finally:
        found.down()


@pytest.fixture(scope="session")
def installed(cluster: Client) -> Client:
    """The cluster with the chart installed and Ready: with a feed, and an emulator for its exchange."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.api.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE, "labels": labels}}
    )
    began = time.monotonic()
    feed = "feeds[0].venue=upbit,feeds[0].symbols[0]=KRW-BTC"
    # Where memory is short the kernel spares who requests much: an exchange is on no node of ours.
    memory = "emulator.resources.requests.memory=4Gi,emulator.resources.limits.memory=4Gi"
    values = ("--set", f"emulator.enabled=true,{memory},{feed}")
    chart = ROOT / "charts" / "sigma-x"
    cluster.helm("install", "sigma-x", chart, "-n", RELEASE, *values, "--wait", "--timeout=600s")
    print(f"helm install to Ready: {time.monotonic() - began:.1f} s")
    return cluster


@pytest.fixture(scope="module")
def namespaces(installed: Client) -> Iterator[Iterator[Namespace]]:
    """Namespaces that are open for work, as many as are asked for. Each is taken away after its test, while
    the next one runs; all must be gone at the end."""
    opened: list[Namespace] = []

    def more() -> Iterator[Namespace]:
        for number in itertools.count(1):
            opened.append(Namespace(installed, f"work-{number}"))
            opened[-1].open()
            yield opened[-1]

    yield more()
    for namespace in opened:
        namespace.wait_gone()


@pytest.fixture
def workspace(namespaces: Iterator[Namespace]) -> Iterator[Namespace]:
    """A namespace of the test's own, taken away afterwards."""
    namespace = next(namespaces)
    yield namespace
    namespace.delete()


@pytest.fixture(scope="session")
def host_digest() -> Callable[[Path], str]:
    """The digest that the command line on this machine gives for a manifest."""

    def run(manifest: Path) -> str:
        command = [sys.executable, "-m", "sigma_bot.cli.main", "backtest", str(manifest)]
        done = subprocess.run(
            [*command, "--no-store", "--output", "json"],
            cwd=ROOT / "bot",
            capture_output=True,
            text=True,
            check=True,
        )
        return str(json.loads(done.stdout)["digest"])

    return run
