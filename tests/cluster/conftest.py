"""The cluster the tests here run on. Ordinary test runs don't collect this folder: name it to run it.

A cluster of its own, called "test", is started and ends with the test run, in whatever way that ends.
SIGMA_KUBECONFIG names an existing one instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
NAMESPACE = "desk"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder alone unless the command line names it."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    from onenode.client import existing
    from onenode.cluster import Cluster
    from onenode.tools import prepare

    found = existing()
    if found is None:
        own = Cluster("test", prepare())
        own.down()  # one that a killed run left half-way
        own.up(bound=True)
        found = own
    try:
        yield found
    finally:
        found.down()


@pytest.fixture(scope="session")
def installed(cluster: object) -> object:
    """The cluster with the images on its node and the chart installed and Ready: with a feed, and an emulator
    for its exchange."""
    from onenode.client import Client
    from onenode.images import EVERY, build_image

    assert isinstance(cluster, Client)
    for image in EVERY:
        cluster.import_image(build_image(image))
    cluster.kubectl("create", "namespace", "sigma")
    cluster.kubectl("label", "namespace", "sigma", "pod-security.kubernetes.io/enforce=restricted")
    began = time.monotonic()
    feed = "feeds[0].venue=upbit,feeds[0].symbols[0]=KRW-BTC"
    # Where memory is short the kernel spares who requests much: an exchange is on no node of ours.
    memory = "emulator.resources.requests.memory=4Gi,emulator.resources.limits.memory=4Gi"
    values = ("--set", f"emulator.enabled=true,{memory},{feed}")
    chart = ROOT / "charts" / "sigma-x"
    cluster.helm("install", "sigma-x", chart, "-n", "sigma", *values, "--wait", "--timeout=600s")
    print(f"helm install to Ready: {time.monotonic() - began:.1f} s")
    return cluster


@pytest.fixture
def desk(installed: object) -> Iterator[object]:
    """A namespace that enforces the restricted standard, taken away afterwards. It is younger than the chart,
    so the Secrets that `desks` would give it are copied."""
    from floor import SECRETS, copy_secret, open_namespace
    from onenode.client import Client

    assert isinstance(installed, Client)
    open_namespace(installed, NAMESPACE)
    for name in SECRETS:
        copy_secret(installed, f"sigma-x-{name}", NAMESPACE)
    yield installed
    installed.kubectl("delete", "namespace", NAMESPACE, "--timeout=300s")


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object], str], None]:
    """Wait until something holds; what did not is named when it does not within two minutes."""

    def wait(holds: Callable[[], object], what: str, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, what
            time.sleep(0.1)

    return wait


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
