"""One folder of compiled code for the whole test run, so that every strategy is compiled once."""

from __future__ import annotations

import pytest

from tests.integration.engine.rig import shared_cache

__all__ = ["shared_cache"]


@pytest.fixture(autouse=True)
def _compiled_once(shared_cache: None) -> None:
    """Every test here may compile."""
