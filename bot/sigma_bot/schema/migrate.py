"""Bring the tables to the version of this code. One process at a time does it; the others wait and find it
done.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from sigma_bot.database.engine import NO_TRANSACTION, WRITE, Database, is_current, stored_revision
from sigma_bot.database.errors import StorageError
from sigma_bot.database.retry import retry_while_starting
from sigma_bot.database.revision import REVISION
from sigma_bot.database.urls import DatabaseAddress

_ADVISORY_KEY = 0x5349474D41  # "SIGMA"; any number that no other program on the server uses


async def migrate(url: str | None, lock_timeout: float) -> None:
    """Open a database and bring its tables up to date. Raises StorageError when it cannot be used or is of a
    newer version."""
    database = await Database.connect(url, create=True, lock_timeout=lock_timeout)
    try:
        if await retry_while_starting(lambda: database.run(is_current, opening=True)):
            return
        where = database.where
        if where.path is not None:
            await database.run(_use_wal, NO_TRANSACTION)
        await database.run(lambda connection: upgrade(connection, where, lock_timeout), WRITE)
    finally:
        await database.close()


def _use_wal(connection: Connection) -> None:
    """Readers and one writer at once; the setting stays in the file."""
    connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def upgrade(connection: Connection, where: DatabaseAddress, lock_timeout: float) -> None:
    """Run what is missing, in the connection's writing transaction, which on SQLite is the lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout * 1000)}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
    found = stored_revision(connection)
    if found == REVISION:
        return
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise StorageError(
            f"database {where.shown}: written by a newer version of SIGMA-X (tables {found}, "
            f"this one knows {REVISION}); update SIGMA-X or name another database"
        )
    if not _may_make_tables(connection):
        raise StorageError(
            f"database {where.shown}: its tables are of version {found or 'none'} and this one needs "
            f"{REVISION}, but this user may not make tables: let their owner bring them up to date (on a "
            "cluster, helm upgrade does), or grant CREATE and USAGE on the schema"
        )
    config.attributes["connection"] = connection
    from alembic.command import upgrade as run

    run(config, "head")


def _may_make_tables(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar())
