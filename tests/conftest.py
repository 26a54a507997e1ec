"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a generated case has no time limit: a busy machine stands still for longer than the 200 ms of Hypothesis
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: a third of their time tests wait for servers and bots."""
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data: SIGMA_SHARED_DATA, else ``shared/data`` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SIGMA_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no real market data at {path}: set SIGMA_SHARED_DATA to its folder")
    return path
