"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]
"""What a task of a session runs."""


async def cancel_tasks(tasks: Iterable[asyncio.Task[Any]], again_s: float = 1.0) -> None:
    """Cancel until all have ended, and take no notice of how.

    A single cancellation may be lost: ``asyncio.wait_for`` of Python 3.11, which the Redis client uses for
    every command, drops one that comes in the moment in which its work is done.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
