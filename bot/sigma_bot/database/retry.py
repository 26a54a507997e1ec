"""A pod's first seconds: the network lets it through to a database only once its rules are programmed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sigma_bot.database.errors import UnreachableError

T = TypeVar("T")
PATIENCE_S = 10.0
"""How long a process in a cluster asks a database that can't be reached; anywhere else it asks once."""
_IN_A_POD = "KUBERNETES_SERVICE_HOST"  # Kubernetes gives it to every container


async def retry_while_starting(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` gives. Raises what it raises, UnreachableError in a pod only after PATIENCE_S."""
    end = time.monotonic() + (PATIENCE_S if _IN_A_POD in os.environ else 0.0)
    while True:
        try:
            return await ask()
        except UnreachableError:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(0.2)
