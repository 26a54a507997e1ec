"""What tests of Backtests share: the example under another name, and its end."""

from __future__ import annotations

import json

import yaml

from tests.cluster.api import Object
from tests.cluster.namespace import Namespace
from tests.cluster.onenode.tools import ROOT

EXAMPLE = ROOT / "examples" / "ema-cross" / "backtest.yaml"


def example(name: str = "ema-cross") -> Object:
    """The example under another name."""
    manifest: Object = yaml.safe_load(EXAMPLE.read_text())
    manifest["metadata"]["name"] = name
    return manifest


def wait_for(workspace: Namespace, name: str, phase: str) -> Object:
    """The Backtest once it is finished, which must be in this phase."""

    def finished() -> Object | None:
        found = workspace.get(f"backtest/{name}")
        return found if found.get("status", {}).get("phase") in ("Complete", "Failed") else None

    def status() -> str:
        return f"{name} does not end: {json.dumps(workspace.get(f'backtest/{name}').get('status'), indent=1)}"

    found = workspace.wait_until(finished, status, 300)
    assert found is not None
    assert found["status"]["phase"] == phase, found["status"]["conditions"]
    return found
