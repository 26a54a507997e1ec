"""Makes the operator's package and the samples beside this file importable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "operator"))


@pytest.fixture
def backtest() -> dict[str, Any]:
    from operator_samples import resource

    return resource()
