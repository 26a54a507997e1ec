"""What the crash tests of one test process share: servers, and a loop with a bench on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.crash.crash_run import Bench, bench, redis_servers
from tests.crash.crash_servers import folder, mortal_postgres
from tests.support import servers


@pytest.fixture(scope="session")
def crash_buses() -> Iterator[list[str]]:
    """Private Redis servers, one for each case at a time."""
    try:
        with redis_servers() as urls:
            yield urls
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def crash_database() -> Iterator[str]:
    """A database for all cases: each has a bot and an account of its own name."""
    try:
        with mortal_postgres() as server:
            yield server.url
    except servers.ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def on_bench(
    crash_database: str, crash_buses: list[str]
) -> Iterator[Callable[[Callable[[Bench], Coroutine[Any, Any, Any]]], Any]]:
    """Runs a coroutine with the bench: ``on_bench(lambda bench: ...)``. Its fork server imports once."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        made = runner.run(stack.enter_async_context(bench(crash_database, crash_buses)))
        yield lambda work: runner.run(work(made))
        runner.run(stack.aclose())


@pytest.fixture
def bench_lite() -> Iterator[str]:
    """A SQLite journal of its own."""
    with folder("sigma-sqlite-") as where:
        yield f"sqlite:///{where}/journal.db"
