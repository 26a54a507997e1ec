"""What a bot has done and means to do, stored before anything leaves the process (SQLite or PostgreSQL)."""

from __future__ import annotations

from sigma_bot.journal.errors import (
    FillConflictError,
    IllegalTransitionError,
    JournalError,
    LeaseHeldError,
    LeaseLostError,
)
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.types import (
    BotIdentity,
    BotRun,
    BotStatus,
    Changes,
    Control,
    Controls,
    Registration,
    ResumePoint,
    StoredRow,
)

__all__ = [
    "BotIdentity",
    "BotRun",
    "BotStatus",
    "Changes",
    "Control",
    "Controls",
    "FillConflictError",
    "IllegalTransitionError",
    "Journal",
    "JournalError",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "Registration",
    "ResumePoint",
    "StoredRow",
    "open_journal",
]

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that writes to the same SQLite file, or that migrates."""


async def open_journal(
    url: str | None = None, *, create: bool = True, lock_timeout: float = LOCK_TIMEOUT
) -> Journal:
    """Open the journal of a database (`sigma_bot.database.urls.database_url` says which), its tables brought
    up to date.

    ``create=False`` refuses to make a SQLite file that does not exist. Raises StorageError in words for the
    user when the database cannot be used, or is of a newer version.
    """
    return await Journal.open(url, create=create, lock_timeout=lock_timeout)
