"""A database through SQLAlchemy: set up, brought up to date, and one transaction at a time.

Work is written as plain functions of a connection; `Database.run` runs each in one transaction on the event
loop (`sqlalchemy_private` says how).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from sigma_bot.database import codec
from sigma_bot.database.errors import StorageError, translating_errors
from sigma_bot.database.retry import retry_while_starting
from sigma_bot.database.revision import REVISION, VERSION_TABLE
from sigma_bot.database.sqlalchemy_private import run_sync
from sigma_bot.database.upgrade import upgraded
from sigma_bot.database.urls import DatabaseAddress, parse_address

T = TypeVar("T")
_CONNECT_TIMEOUT = 10.0
# How a transaction begins on SQLite. A writer takes the lock at once, so it waits for another process there
# and is never refused half-way through; setting the journal mode is not allowed inside one.
READ, WRITE, NO_TRANSACTION = "BEGIN", "BEGIN IMMEDIATE", ""


class Database:
    """An open database whose tables are those of this version."""

    def __init__(self, engine: sa.Engine, where: DatabaseAddress) -> None:
        self._engine = engine
        self.where = where

    @classmethod
    async def open(cls, url: str | None, *, create: bool, lock_timeout: float) -> Self:
        """Open it, its tables brought up to date where they are not: see `upgraded`."""
        database = await cls.connect(url, create=create, lock_timeout=lock_timeout)
        try:
            if not await retry_while_starting(lambda: database.run(is_current, opening=True)):
                await upgraded(url, lock_timeout)
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def connect(cls, url: str | None, *, create: bool, lock_timeout: float) -> Self:
        """Open it as it stands."""
        where = parse_address(url)
        if where.path is not None:
            prepare_file(where.path, where, create)
        with translating_errors(where, opening=True):
            return cls(_engine(where, lock_timeout), where)

    async def close(self) -> None:
        """Give back every connection."""
        await run_sync(self._engine.dispose)

    async def run(self, work: Callable[[sa.Connection], T], begin: str = READ, *, opening: bool = False) -> T:
        """``work(connection)`` in one transaction. StorageError when the database cannot do it."""

        def call() -> T:
            with self._engine.connect() as free:
                connection = free.execution_options(sigma_begin=begin)
                with connection.begin():
                    return work(connection)

        with translating_errors(self.where, opening):
            return await run_sync(call)


def stored_revision(connection: sa.Connection) -> str | None:
    """The migration this database stands at, None when it has none of our tables."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    found: str | None = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def is_current(connection: sa.Connection) -> bool:
    """Whether the tables are those of this version."""
    return stored_revision(connection) == REVISION


def prepare_file(path: Path, where: DatabaseAddress, create: bool) -> None:
    """Make the folder of a SQLite file and find out whether the file can be opened."""
    if not create and not path.exists():
        raise StorageError(f"database {where.shown}: the file does not exist; `sigma backtest` makes it")
    if path.is_dir():
        raise StorageError(
            f"database {where.shown}: is a folder; name a file, for example {path / 'sigma.db'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"database {where.shown}: folder {path.parent} cannot be made ({error.strerror}); "
            "name another with --db"
        ) from None
    # The driver's thread outlives an opening that fails and then complains on the terminal: find out before.
    with translating_errors(where), closing(sqlite3.connect(path)):
        pass


def _engine(where: DatabaseAddress, lock_timeout: float) -> sa.Engine:
    options: dict[str, Any] = {
        "json_serializer": codec.dump,
        "json_deserializer": codec.load,
        "hide_parameters": True,
    }
    if where.path is None:
        # The first query after a server's restart would fail on a dead connection without the ping.
        return sa.create_engine(
            where.url, pool_pre_ping=True, connect_args={"timeout": _CONNECT_TIMEOUT}, pool_size=4, **options
        )
    engine = sa.create_engine(
        where.url, connect_args={"timeout": lock_timeout, "isolation_level": None}, pool_size=4, **options
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Per connection. In WAL mode NORMAL syncs at checkpoints only: a process killed at any instant loses
    nothing; a power cut may lose the last runs, which can be run again, but never damages the file. FULL
    costs an fsync a run; the journal, whose rows are money, pays it (see `driver`).
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """The driver itself begins nothing (isolation_level None): it would do so only at the first INSERT."""
    statement = connection.get_execution_options()["sigma_begin"]
    if statement:
        connection.exec_driver_sql(statement)
