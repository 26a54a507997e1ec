"""helm, as the tests of the cluster have it: built on nothing that runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
Objects = list[dict[str, Any]]


class ChartError(Exception):
    """What helm said when it refused."""


@pytest.fixture(scope="session")
def render() -> Callable[..., Objects]:
    """`render(values, chart="sigma-x", apis=())` gives a chart's objects. ChartError when helm refuses."""
    from tests.cluster.onenode.tools import clients

    helm = clients() / "helm"

    @lru_cache
    def run(values: str, chart: str, apis: tuple[str, ...]) -> str:
        command = [str(helm), "template", "sigma-x", str(ROOT / "charts" / chart), "-n", "sigma", "-f", "-"]
        command += [word for api in apis for word in ("--api-versions", api)]
        done = subprocess.run(command, input=values, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ChartError(done.stderr)
        return done.stdout

    def objects(
        values: dict[str, Any] | None = None, chart: str = "sigma-x", apis: tuple[str, ...] = ()
    ) -> Objects:
        text = run(json.dumps(values or {}), chart, apis)
        return [document for document in yaml.safe_load_all(text) if document]

    return objects


@pytest.fixture(scope="session")
def chart_error() -> type[Exception]:
    return ChartError
