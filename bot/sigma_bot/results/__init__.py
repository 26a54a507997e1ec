"""Where results are kept: one SQLite file by default, a PostgreSQL server when its address is given.

Nothing heavy is imported here; SQLAlchemy loads inside `open_store`, so only a command that stores or lists
pays for it. The tables of a run carry the prefix ``run_``: the plain names (orders, fills) are kept free for
the live journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sigma_bot.results.store import Store

T = TypeVar("T")

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another process that writes or migrates; a run of 100,000 fills holds the lock about a
second.
"""


async def open_store(
    url: str | None = None, *, create: bool = True, lock_timeout: float = LOCK_TIMEOUT
) -> Store:
    """Open the database (see `urls.database_url` for how ``url`` is found), its tables brought up to date.

    ``create=False`` refuses to make a SQLite file that does not exist: a command that only reads should not
    leave one. Raises StorageError in words for the user when the database cannot be used.
    """
    from sigma_bot.results.store import Store

    return await Store.open(url, create=create, lock_timeout=lock_timeout)


def use_store(
    work: Callable[[Store], Awaitable[T]],
    url: str | None = None,
    *,
    create: bool = True,
    lock_timeout: float = LOCK_TIMEOUT,
) -> T:
    """Open, run ``work(store)`` to its end, close: for code that is not asynchronous.

    Example: ``run_id = use_store(lambda store: store.save_result(result, trades, metrics))``.
    """
    import asyncio

    async def session() -> T:
        async with await open_store(url, create=create, lock_timeout=lock_timeout) as store:
            return await work(store)

    return asyncio.run(session())
