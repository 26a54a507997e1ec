"""A user's desk: a folder with a strategy, data and a manifest, a home of its own, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.desk import Desk
from tests.integration.engine.rig import shared_cache

__all__ = ["shared_cache"]


@pytest.fixture
def desk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    shared_cache: None,
) -> Desk:
    """The desk; the home folder, the catalogue and the database of whoever runs the tests stay untouched."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("SIGMA_DATA", "SIGMA_DATABASE_URL", "SIGMA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Desk(folder, capfd)
