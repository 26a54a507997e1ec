"""What a bot has done and means to do, stored before anything leaves the process (SQLite or PostgreSQL)."""

from __future__ import annotations

from sigma_bot.database.driver import BOT_POOL, QUERY_POOL, PoolSettings
from sigma_bot.journal.errors import (
    FillConflictError,
    IllegalTransitionError,
    JournalError,
    LeaseHeldError,
    LeaseLostError,
)
from sigma_bot.journal.filters import Filter
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.lease import Lease, NamedLease
from sigma_bot.journal.types import (
    BotIdentity,
    BotRun,
    BotStatus,
    Changes,
    Control,
    Controls,
    NumberedNotice,
    Page,
    Registration,
    ResumePoint,
    StoredRow,
)

__all__ = [
    "BOT_POOL",
    "QUERY_POOL",
    "BotIdentity",
    "BotRun",
    "BotStatus",
    "Changes",
    "Control",
    "Controls",
    "FillConflictError",
    "Filter",
    "IllegalTransitionError",
    "Journal",
    "JournalError",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "NamedLease",
    "NumberedNotice",
    "Page",
    "Registration",
    "ResumePoint",
    "StoredRow",
    "open_journal",
]

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that writes to the same SQLite file, or that migrates."""


async def open_journal(
    url: str | None = None,
    *,
    create: bool = True,
    lock_timeout: float = LOCK_TIMEOUT,
    pool: PoolSettings = BOT_POOL,
) -> Journal:
    """Open the journal of a database (`sigma_bot.database.urls.database_url` says which), its tables brought
    up to date.

    ``create=False`` refuses to make a SQLite file that does not exist. ``pool``: `QUERY_POOL` for who lists
    and searches. Raises StorageError in words for the
    user when the database cannot be used, or is of a newer version.
    """
    return await Journal.open(url, create=create, lock_timeout=lock_timeout, pool=pool)
