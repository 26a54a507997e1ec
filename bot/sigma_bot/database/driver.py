"""A database through its driver alone: for a bot, which is small and stores ten times a second.

SQLAlchemy costs a process 17 MiB and every statement a tenth of a millisecond. Here work is a coroutine that
gets a `Session`; the two databases differ in the statements' text and in how decimals are held. Opening
brings the tables up to date as everywhere, in a process of its own.

What is committed here is money: every commit is on the disk when it returns (SQLite ``synchronous=FULL``,
PostgreSQL ``synchronous_commit=on``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from sigma_bot.database.errors import CommitUnknownError, StorageError, translating_errors
from sigma_bot.database.retry import retry_while_starting
from sigma_bot.database.revision import REVISION, VERSION_TABLE
from sigma_bot.database.upgrade import upgraded
from sigma_bot.database.urls import DatabaseAddress, parse_address

T = TypeVar("T")
Row = Sequence[Any]
Work = Callable[["Session"], Awaitable[T]]

ANSWER_TIMEOUT = 10.0
"""Seconds for the server to answer a statement, or the connection is given up."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a process uses a database. ``connections``: at most so many at once. ``generic_plans``: PostgreSQL
    plans a statement once and not for the values at hand: right for a bot, whose statements are few and reach
    rows by their keys; wrong for lists with filters, where the plan depends on the bot that is asked for.
    ``answer_timeout``: seconds; SQLite has none.
    """

    connections: int = 3
    generic_plans: bool = True
    answer_timeout: float = ANSWER_TIMEOUT

    def server_settings(self) -> dict[str, str]:
        """For PostgreSQL."""
        return {
            "application_name": "sigma-x",
            "synchronous_commit": "on",
            # A process frozen in the middle of a transaction must not keep the next one from its lease.
            "idle_in_transaction_session_timeout": "5s",
            "lock_timeout": "8s",
            "plan_cache_mode": "force_generic_plan" if self.generic_plans else "auto",
        }


BOT_POOL = PoolSettings()
"""One connection stores, one renews the lease, one reads."""
QUERY_POOL = PoolSettings(generic_plans=False)
"""For who lists and searches: commands, an API."""

_BEGIN, _BEGIN_READING = "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Session(Protocol):
    """One transaction. ``sqlite``: SQLite, where parameters are ``?`` and decimals are text."""

    sqlite: bool

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        """Run a statement; its rows, if it has any."""

    async def insert(self, text: str, head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Sequence[Row]:
        """Insert many rows, each beginning with ``head``; what the statement returns.

        On PostgreSQL the statement takes ``head`` and then one array for each further column.
        """


class DriverDatabase:
    """An open database whose tables are those of this version."""

    def __init__(self, where: DatabaseAddress, lock_timeout: float, pool: PoolSettings = BOT_POOL) -> None:
        self.where, self.pool = where, pool
        self._lock_timeout = lock_timeout
        self._free: list[_SqliteConnection | _PostgresConnection] = []
        self._slots = asyncio.Semaphore(pool.connections)
        self.sqlite = where.path is not None

    @classmethod
    async def open(
        cls, url: str | None, *, create: bool, lock_timeout: float, pool: PoolSettings = BOT_POOL
    ) -> Self:
        """Open it, its tables brought up to date where they are not: see `upgraded`."""
        where = parse_address(url)
        database = cls(where, lock_timeout, pool)
        there = where.path is None or where.path.exists()
        if not there and not create:
            raise StorageError(f"database {where.shown}: the file does not exist; `sigma run` makes it")
        if there:
            with translating_errors(where, opening=True):
                if await retry_while_starting(lambda: database.run(_is_current, write=False)):
                    return database
            await database.close()
        await upgraded(url, lock_timeout)
        return database

    async def close(self) -> None:
        """Give back every connection that is not at work."""
        while self._free:
            await self._free.pop().close()

    async def run(self, work: Work[T], *, write: bool = True) -> T:
        """``work(session)`` in one transaction.

        Raises StorageError when the database cannot do it, then nothing is stored; CommitUnknownError when
        the connection was lost on the commit itself.
        """
        async with self._slots:
            with translating_errors(self.where):
                return await self._run(work, write)

    async def single_statement(self, text: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows of one statement of PostgreSQL that is a transaction by itself. Raises as `run` does."""
        async with self._slots:
            with translating_errors(self.where):
                connection = self._idle_connection() or await self._connect()
                try:
                    rows = await connection.rows(text, *values)
                except BaseException as error:
                    connection.discard()  # whatever it is still at
                    if connection.is_lost(error):
                        raise self._commit_unknown() from None
                    raise
                self._free.append(connection)
                return rows

    def _idle_connection(self) -> _SqliteConnection | _PostgresConnection | None:
        """A connection that was open when we last heard of it."""
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return None

    def _commit_unknown(self) -> CommitUnknownError:
        return CommitUnknownError(
            f"database {self.where.shown}: the connection was lost on a commit; whether it was stored has to "
            "be looked up"
        )

    async def _run(self, work: Work[T], write: bool) -> T:
        connection = await self._begin(write)
        committing = False
        try:
            result = await work(connection)
            committing = True
            await connection.end("COMMIT")
        except BaseException as error:
            await self._roll_back(connection)
            if committing and write and connection.is_lost(error):
                raise self._commit_unknown() from None
            raise
        self._free.append(connection)
        return result

    async def _roll_back(self, connection: _SqliteConnection | _PostgresConnection) -> None:
        """Roll back; keep the connection if that works."""
        usable = False
        try:
            usable = await connection.roll_back()
        finally:
            if usable:
                self._free.append(connection)
            else:
                connection.discard()

    async def _begin(self, write: bool) -> _SqliteConnection | _PostgresConnection:
        """A connection in a new transaction; one that died while it lay idle is replaced."""
        while self._free:
            connection = self._free.pop()
            try:
                await connection.begin(write)
            except BaseException as error:
                connection.discard()
                if isinstance(error, asyncio.CancelledError) or not connection.is_lost(error):
                    raise
            else:
                return connection
        connection = await self._connect()
        try:
            await connection.begin(write)
        except BaseException:
            connection.discard()
            raise
        return connection

    async def _connect(self) -> _SqliteConnection | _PostgresConnection:
        if self.where.path is None:
            return await _PostgresConnection.connect(self.where, self.pool)
        return await _SqliteConnection.connect(str(self.where.path), self._lock_timeout)


async def _is_current(session: Session) -> bool:
    held = (
        "SELECT 1 FROM sqlite_master WHERE name = ?"
        if session.sqlite
        else "SELECT 1 WHERE to_regclass($1) IS NOT NULL"
    )
    if not await session.rows(held, VERSION_TABLE):
        return False
    return [tuple(row) for row in await session.rows(f"SELECT version_num FROM {VERSION_TABLE}")] == [
        (REVISION,)
    ]


class _SqliteConnection:
    """A SQLite connection on a thread of its own."""

    sqlite = True

    def __init__(self, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._thread = thread
        self._connection = connection

    @classmethod
    async def connect(cls, path: str, lock_timeout: float) -> Self:
        thread = ThreadPoolExecutor(1, "sqlite")

        def work() -> sqlite3.Connection:
            connection = sqlite3.connect(
                path, timeout=lock_timeout, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            return connection

        try:
            return cls(thread, await asyncio.get_running_loop().run_in_executor(thread, work))
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        return await self._do(lambda: self._connection.execute(text, values).fetchall())

    async def insert(self, text: str, head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Sequence[Row]:
        execute = self._connection.execute
        return await self._do(lambda: [back for row in rows for back in execute(text, (*head, *row))])

    async def begin(self, write: bool) -> None:
        # A writer takes the lock at once, so it waits there and is never refused half-way through.
        await self.rows("BEGIN IMMEDIATE" if write else "BEGIN")

    async def end(self, how: str) -> None:
        await self.rows(how)

    async def roll_back(self) -> bool:
        """Roll back, behind whatever the thread is still at; False when that fails too."""

        def work() -> None:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

        try:
            await asyncio.shield(self._do(work))
        except sqlite3.Error:
            return False
        return True

    def is_closed(self) -> bool:
        return False

    def is_lost(self, error: BaseException) -> bool:
        del error
        return False

    def discard(self) -> None:
        self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=False)

    async def close(self) -> None:
        await self._do(self._connection.close)
        self._thread.shutdown()


class _PostgresConnection:
    """An asyncpg connection; it prepares each statement once."""

    sqlite = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, where: DatabaseAddress, pool: PoolSettings) -> Self:
        import asyncpg

        return cls(
            await asyncpg.connect(
                where.driver_url,
                timeout=ANSWER_TIMEOUT,
                command_timeout=pool.answer_timeout,
                server_settings=pool.server_settings(),
            )
        )

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        found: Sequence[Row] = await self._connection.fetch(text, *values)
        return found

    async def insert(self, text: str, head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Sequence[Row]:
        return await self.rows(text, *head, *map(list, zip(*rows, strict=True)))

    async def begin(self, write: bool) -> None:
        await self._connection.execute(_BEGIN if write else _BEGIN_READING)

    async def end(self, how: str) -> None:
        await self._connection.execute(how)

    async def roll_back(self) -> bool:
        """Roll back; False when the connection is of no more use."""
        if self.is_closed():
            return False
        try:
            await self._connection.execute("ROLLBACK")
        except Exception as error:
            if self.is_lost(error):
                return False
            raise
        return True

    def is_closed(self) -> bool:
        """Whether the other end has closed the connection."""
        return bool(self._connection.is_closed())

    def is_lost(self, error: BaseException) -> bool:
        """Whether the connection is gone, and with it the answer to what was asked last."""
        state = str(getattr(error, "sqlstate", None) or "")
        return (
            isinstance(error, (OSError, asyncio.TimeoutError))
            or self.is_closed()
            or state.startswith(("08", "57P"))
        )

    def discard(self) -> None:
        self._connection.terminate()

    async def close(self) -> None:
        await self._connection.close(timeout=ANSWER_TIMEOUT)
