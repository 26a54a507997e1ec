"""The right to trade for a bot, or to do the work of a name, for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass

MARGIN = 0.1
"""Share of the time to live by which the holder's own deadline comes earlier than the database's."""


@dataclass(slots=True)
class NamedLease:
    """The right to do the work of this name, held by one process; see `Lease`."""

    name: str
    holder: str
    token: int
    ttl_s: float
    deadline_ns: int

    def alive(self) -> bool:
        """Whether something may still be begun under it."""
        return time.monotonic_ns() < self.deadline_ns


@dataclass(slots=True)
class Lease:
    """Held by one process. ``token rises with every acquisition of this bot's lease, over releases too.

    ``deadline_ns`` is on this machine's monotonic clock, counted from before the request was sent, so it
    comes before the database lets go, however slow the answer was. ``commits``: the number of the last commit
    under this lease; None before the first.
    """

    bot: str
    bot_id: int
    holder: str
    token: int
    ttl_s: float
    deadline_ns: int
    commits: int | None = None

    def alive(self) -> bool:
        """Whether something may still be sent under it."""
        return time.monotonic_ns() < self.deadline_ns


def deadline(asked_ns: int, ttl_s: float) -> int:
    """The holder's deadline for a lease asked for at ``asked_ns`` (time.monotonic_ns)."""
    return asked_ns + int(ttl_s * (1 - MARGIN) * 1e9)
