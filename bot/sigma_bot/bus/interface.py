"""The bus: channels that may lose messages, and logs that do not.

Pub/Sub is only a doorbell, and anybody may ring it: what a trader's money depends on is read where only its
writer can write, ticks in the log, recorded ticks in a box, everything else in the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Bus(Protocol):
    """One bus. ``open_bus(url)`` gives the Redis one for redis://, the in-process one for ``memory://``."""

    async def publish(self, channel: str, payload: bytes) -> None:
        """Tell whoever listens now. Raises BusError when the bus cannot be reached."""

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, bytes]]]:
        """Listen; subscribed when the context is entered. The iterator ends with BusError when the line is
        lost."""

    async def append(self, log: str, seq: int, payload: bytes) -> None:
        """Add to a log and tell its listeners (``subscribe(log)``), in one step.

        ``seq`` is at least 1 and rises by 1: what is there already is ignored, so an append may be repeated;
        GapError when entries before it are missing. An empty log takes any.
        """

    async def read(self, log: str, after: int, limit: int = 1000) -> list[tuple[int, bytes]]:
        """Entries with a higher ``seq``, oldest first."""

    async def last(self, log: str) -> tuple[int, bytes] | None:
        """The newest entry."""

    async def leave(self, box: str, payload: bytes, ttl_s: float) -> None:
        """Leave bytes in a box of that name for ``ttl_s`` seconds, in place of what lies there."""

    async def collect(self, box: str) -> bytes | None:
        """What lies in the box; None when that is nothing, or has expired."""

    async def want(self, topic: str, who: str, what: list[str], ttl_s: float) -> None:
        """Say what ``who`` needs for the next ``ttl_s`` seconds; an empty list takes it back."""

    async def wanted(self, topic: str) -> dict[str, list[str]]:
        """Who needs what, now."""

    async def close(self) -> None:
        """Give everything back."""
