"""What the crash tests of one test process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_run import redis_servers

import servers


@pytest.fixture(scope="session")
def crash_postgres() -> Iterator[servers.Postgres]:
    """A private PostgreSQL server."""
    try:
        with servers.postgres() as server:
            yield server
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def crash_database(crash_postgres: servers.Postgres) -> str:
    """A new, empty database."""
    return crash_postgres.create_database()


@pytest.fixture(scope="session")
def crash_buses() -> Iterator[list[str]]:
    """Private Redis servers, one for each case at a time."""
    try:
        with redis_servers() as urls:
            yield urls
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))
