"""Market data in PostgreSQL: sent there from this machine, read by Backtests that mount nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sigma_bot.data.sources import sample_file
from tests.cluster.api import Object
from tests.cluster.backtests import example, wait_for
from tests.cluster.namespace import RELEASE, Namespace, conditions
from tests.cluster.onenode.tools import ROOT


@pytest.fixture
def data(workspace: Namespace) -> Namespace:
    """The namespace with what the chart gives to `desks` for data and results."""
    workspace.copy_secret("sigma-x-results")
    settings = workspace.api.get("configmap/sigma-x-desk", RELEASE)
    labels = {"app.kubernetes.io/component": "desk"}
    metadata = {"name": "sigma-x-desk", "namespace": workspace.name, "labels": labels}
    workspace.api.create({**settings, "metadata": metadata})
    return workspace


def here(*arguments: object) -> str:
    """What the command line on this machine prints."""
    command = [sys.executable, "-m", "sigma_bot.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT / "bot", capture_output=True, text=True, check=True).stdout


def reading(name: str, path: str) -> Object:
    """The example on imported data."""
    manifest = example(name)
    manifest["spec"]["data"] = {"source": "catalogue", "path": path}
    return manifest


def test_imported_data_give_the_digest_of_the_command_line(
    data: Namespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host_digest: Callable[[Path], str],
) -> None:
    """Real daily bars of five stocks."""
    words = ("data", "import", sample_file("GOOG"), "--venue", "nasdaq")
    monkeypatch.setenv("SIGMA_DATA", str(tmp_path / "catalogue"))
    assert data.sigma(*words) == here(*words)
    assert data.sigma("data", "list") == here("data", "list")
    manifest = reading("imported", "nasdaq")
    (tmp_path / "backtest.yaml").write_text(yaml.safe_dump(manifest))
    data.apply(manifest)
    data.apply(reading("nowhere", "nyse/GOOG"))
    result = wait_for(data, "imported", "Complete")["status"]["result"]
    assert result["digest"] == host_digest(tmp_path / "backtest.yaml")
    failed = conditions(wait_for(data, "nowhere", "Failed"))["Failed"]
    assert failed["reason"] == "BadInput"
    assert "postgresql://sigma_backtest:***@" in failed["message"]
    assert "has no 'GOOG' under nyse/GOOG" in failed["message"]
    assert "it has nasdaq/AAPL/bars-1d, " in failed["message"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        data.sigma("data", "check", "nasdaq/GOOGL/bars-1d")
    assert refused.value.returncode == 2
    assert "did you mean 'nasdaq/GOOG/bars-1d'" in refused.value.stderr
