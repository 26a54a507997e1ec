"""Each journal test runs on both databases, on an empty one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sigma_bot.journal import Journal, open_journal
from tests.support import servers


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a database with the tables and nothing in them."""
    if request.param == "sqlite":
        return servers.migrated_sqlite(tmp_path / "folder" / "journal.db")
    url: str = request.getfixturevalue("migrated_database")
    return url


@pytest.fixture
async def journal(database: str) -> AsyncIterator[Journal]:
    """An open journal."""
    async with await open_journal(database) as opened:
        yield opened
