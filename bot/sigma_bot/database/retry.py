"""A pod's first seconds: the network lets it through to a database only once its rules are programmed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sigma_bot.database.errors import UnreachableError
from sigma_bot.retry import retry_for

T = TypeVar("T")
PATIENCE_S = 10.0
"""How long a process in a cluster asks a database that can't be reached; anywhere else it asks once."""
_IN_A_POD = "KUBERNETES_SERVICE_HOST"  # Kubernetes gives it to every container


async def retry_while_starting(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` gives. Raises what it raises, UnreachableError in a pod only after PATIENCE_S."""
    return await retry_for(PATIENCE_S if _IN_A_POD in os.environ else 0.0, ask, UnreachableError, 0.2)
