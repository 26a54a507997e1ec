"""What the database room takes from SQLAlchemy that is not its public interface; nothing else may.

`tests/unit/storage/test_sqlalchemy_private.py` fails when a release moves it, and pyproject.toml lets in no
minor release that it has not been tried with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")


async def run_sync(work: Callable[[], T]) -> T:
    """``work()``, in which an engine with an asynchronous driver is used as a synchronous one. The public
    async engine does the same by the same function, but importing it pulls in the ORM, a third more to load.
    """
    result: T = await greenlet_spawn(work)
    return result


def copy_in(connection: Connection, table: str, columns: Sequence[str], source: AsyncIterator[bytes]) -> None:
    """COPY text into a table by asyncpg, in the connection's transaction and within `run_sync`."""
    adapted: Any = connection.connection.dbapi_connection
    adapted.run_async(
        lambda driver: driver.copy_to_table(table, source=source, columns=list(columns), format="text")
    )
