"""How many processes a sweep starts where a container is limited."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sigma_bot.services.cores import cores


@pytest.fixture(autouse=True)
def bound_to_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("max 100000", 8),
        ("300000 100000", 3),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
    ],
)
def test_the_second_cgroups(tmp_path: Path, said: str, found: int) -> None:
    (tmp_path / "cpu.max").write_text(said + "\n")
    assert cores(tmp_path) == found


@pytest.mark.parametrize(("quota", "found"), [("-1", 8), ("300000", 3), ("20000", 1)])
def test_the_first_cgroups(tmp_path: Path, quota: str, found: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cores(tmp_path) == found


def test_no_cgroups(tmp_path: Path) -> None:
    assert cores(tmp_path) == 8
