"""The servers that tests use are real, and none outlives the test run, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support import ROOT

PROGRAM = """
import sys
from tests.support import servers
with getattr(servers, sys.argv[1])() as server:
    url = server if isinstance(server, str) else server.url
    print(url.rpartition(":")[2].partition("/")[0], flush=True)
    sys.stdin.read()
"""


def test_postgres_answers_with_fsync_on(postgres_url: str) -> None:
    import asyncpg

    async def ask() -> list[str]:
        connection = await asyncpg.connect(postgres_url)
        try:
            return [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "server_encoding")]
        finally:
            await connection.close()

    assert asyncio.run(ask()) == ["on", "UTF8"]


def test_redis_answers(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach; what a killed test run leaves in it goes with it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_a_server_ends_with_the_process_that_started_it(
    server: str, end: signal.Signals, open_folder: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(f"{server}_url")  # skips where the package is missing
    command = [sys.executable, "-c", PROGRAM, server]
    pipe, environment = subprocess.PIPE, os.environ | {"TMPDIR": str(open_folder)}
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert listens(port)
        process.send_signal(end)
        process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while listens(port):
        assert time.monotonic() < deadline, f"{server} still listens on port {port}"
    if end == signal.SIGINT:
        assert list(open_folder.iterdir()) == []


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
