"""Samples of resources."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def backtest() -> dict[str, Any]:
    from tests.unit.operator.operator_samples import resource

    return resource()
