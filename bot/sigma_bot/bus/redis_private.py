"""What the bus takes from redis-py that is not its public interface; nothing else may.

The public PubSub reconnects by itself, and a silent reconnection would hide that messages were lost: so a
connection of the pool is used alone. `tests/unit/bus/test_redis_private.py` fails when a release moves
what is used here, and pyproject.toml lets in no minor release that it has not been tried with.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool


class ListeningConnection:
    """One connection that subscribes and reads what is pushed. Every method raises RedisError or OSError."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]

    async def connect(self) -> None:
        """Connect and log in."""
        await self._connection.connect()

    async def send(self, *words: str) -> None:
        """Send a command; its answer is read like any other message."""
        await self._connection.send_command(*words)

    async def read(self, timeout: float | None = None) -> list[bytes] | None:
        """The next message or answer. None: nothing came in ``timeout`` seconds; without one the pool's
        time-out ends it with TimeoutError."""
        if timeout is None:
            reply: list[bytes] = await self._connection.read_response()
            return reply
        in_time: list[bytes] | None = await self._connection.read_response(timeout=timeout)
        return in_time

    async def close(self) -> None:
        """Give it up, whatever state it is in."""
        await self._connection.disconnect(nowait=True)
