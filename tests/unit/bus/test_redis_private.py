"""A canary: what the bus takes from redis-py without its being promised is as the bus takes it."""

from __future__ import annotations

import inspect
from pathlib import Path

import redis.utils
from redis.asyncio import Connection, ConnectionPool

ROOM = Path(__file__).parents[3] / "bot" / "sigma_bot"


def test_a_connection_is_used_alone() -> None:
    pool = ConnectionPool.from_url("redis://127.0.0.1:1/0")
    made = pool.make_connection()
    assert isinstance(made, Connection)
    assert not pool._in_use_connections, "the pool counts it, and would give it to others"
    for name in ("connect", "send_command", "read_response", "disconnect"):
        assert inspect.iscoroutinefunction(getattr(made, name)), name
    assert "timeout" in inspect.signature(made.read_response).parameters
    assert "nowait" in inspect.signature(made.disconnect).parameters


def test_the_crash_tests_find_the_version_where_they_cache_it() -> None:
    assert not inspect.signature(redis.utils.get_lib_version).parameters


def test_one_file_knows_them() -> None:
    words = ("make_connection", "read_response", "send_command")
    users = [p.name for p in ROOM.rglob("*.py") if any(word in p.read_text() for word in words)]
    assert users == ["redis_private.py"]
