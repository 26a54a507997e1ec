"""Market data in PostgreSQL: sent there from this machine, read by Backtests that mount nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from floor import copy_secret
from onenode.client import Client
from test_backtest import apply, conditions, example, wait_for

from conftest import NAMESPACE, ROOT
from sigma_bot.data.sources import sample_file

IN = ("-n", NAMESPACE)


@pytest.fixture
def desk_with_data(desk: Client) -> Client:
    """The namespace with what the chart gives to desks for data and results."""
    copy_secret(desk, "sigma-x-results", NAMESPACE)
    told = json.loads(desk.kubectl("get", "configmap/sigma-x-desk", "-n", "sigma", "-o", "json"))
    labels = {"app.kubernetes.io/component": "desk"}
    told["metadata"] = {"name": "sigma-x-desk", "namespace": NAMESPACE, "labels": labels}
    desk.kubectl("create", "-f", "-", stdin=json.dumps(told))
    return desk


def here(*arguments: object) -> str:
    """What the command line on this machine prints."""
    command = [sys.executable, "-m", "sigma_bot.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT / "bot", capture_output=True, text=True, check=True).stdout


def reading(name: str, path: str) -> dict[str, Any]:
    """The example on imported data."""
    manifest = example(name)
    manifest["spec"]["data"] = {"source": "catalogue", "path": path}
    return manifest


def test_imported_data_give_the_digest_of_the_command_line(
    desk_with_data: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host_digest: Callable[[Path], str],
) -> None:
    """Real daily bars of five stocks."""
    desk = desk_with_data
    words = ("data", "import", sample_file("GOOG"), "--venue", "nasdaq")
    monkeypatch.setenv("SIGMA_DATA", str(tmp_path / "catalogue"))
    assert desk.sigma(*IN, *words) == here(*words)
    assert desk.sigma(*IN, "data", "list") == here("data", "list")
    manifest = reading("imported", "nasdaq")
    (tmp_path / "backtest.yaml").write_text(yaml.safe_dump(manifest))
    apply(desk, manifest)
    apply(desk, reading("nowhere", "nyse/GOOG"))
    result = wait_for(desk, "imported", "Complete")["status"]["result"]
    assert result["digest"] == host_digest(tmp_path / "backtest.yaml")
    failed = conditions(wait_for(desk, "nowhere", "Failed"))["Failed"]
    assert failed["reason"] == "BadInput"
    assert "postgresql://sigma_backtest:***@" in failed["message"]
    assert "has no 'GOOG' under nyse/GOOG" in failed["message"]
    assert "it has nasdaq/AAPL/bars-1d, " in failed["message"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        desk.sigma(*IN, "data", "check", "nasdaq/GOOGL/bars-1d")
    assert refused.value.returncode == 2
    assert "did you mean 'nasdaq/GOOG/bars-1d'" in refused.value.stderr
