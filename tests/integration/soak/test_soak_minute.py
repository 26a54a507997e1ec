"""The soak's short form: a minute of faults over four bots, and everything holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.soak.run import soak
from tests.support import servers


async def test_a_minute_of_faults(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip(servers.INSTALL)
    report = await soak(tmp_path, 40, 4, ["binance"], seed=11, every_s=2.0)
    print(report.text())
    assert report.holds, report.text()
    assert report.faults.total() >= 10
    assert report.found.fills >= 20
    assert set(report.memories) >= {"live bot", "sim bot", "feed-binance"}
    assert report.memories["sim bot"][0] <= 75
    assert report.memories["live bot"][0] <= 170
