"""Real servers for integration tests, one of each per test process, started when the first test asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import servers


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """A private PostgreSQL server; skips with the install command where the package is missing."""
    try:
        with servers.postgres() as server:
            yield server
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_url(postgres_server: servers.Postgres) -> str:
    """Address of an empty database that a session's tests share; `postgres_database` gives a test its own."""
    return postgres_server.create_database()


@pytest.fixture
def postgres_database(postgres_server: servers.Postgres) -> str:
    """Address of a new, empty database."""
    return postgres_server.create_database()


@pytest.fixture
def migrated_database(postgres_server: servers.Postgres) -> str:
    """Address of a new database with this version's tables."""
    return postgres_server.create_database(migrated=True)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a private Redis server."""
    try:
        with servers.redis() as url:
            yield url
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))
