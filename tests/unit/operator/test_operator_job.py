"""The process in the pod: what it leaves as its termination message."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).resolve().parents[3] / "images" / "backtest" / "job.py"


@pytest.fixture(scope="module")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("job", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REPORT = {
    "digest": "d" * 64,
    "engine": "compiled",
    "events": 3,
    "seconds": {"run": 0.1},
    "counts": {"orders": 1},
}


def test_main_figures_come_first_and_the_rest_as_far_as_there_is_room(job: ModuleType) -> None:
    metrics = {f"figure_{i}": i for i in range(500)} | {"total_return": 0.5}
    message = job.compact({**REPORT, "metrics": metrics})
    assert job.size(message) <= 4096
    assert message["result"]["digest"] == REPORT["digest"]
    assert message["result"]["metrics"]["total_return"] == 0.5
    assert 100 < len(message["result"]["metrics"]) < 501


def test_a_failure_keeps_the_last_lines(job: ModuleType) -> None:
    lines = [f"line {i} " + "é" * 300 for i in range(60)] + ["ValueError: too dear"]
    message = job.failure(3, lines)
    assert job.size(message) <= 4096
    assert message["error"]["message"].endswith("ValueError: too dear")


def test_the_whole_process(job: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: Nothing\n")
    monkeypatch.setattr(job, "MESSAGE", tmp_path / "message")
    assert job.main(str(bad)) == 2
    said = json.loads((tmp_path / "message").read_text())
    assert said["error"]["code"] == 2
    assert "bad.yaml" in said["error"]["message"]
