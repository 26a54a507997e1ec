"""Migrations build exactly the tables that the code knows, on both databases, and are skipped when done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sigma_bot.database.errors import StorageError
from sigma_bot.database.revision import REVISION, VERSION_TABLE
from sigma_bot.journal import Filter, StoredRow, open_journal
from sigma_bot.model.orders import NoticeRow, OrderRow
from sigma_bot.results import use_store
from sigma_bot.results.store import Store
from sigma_bot.schema import migrate, tables


def on_connection(url: str, work: Any) -> Any:
    """``work(connection)`` on the migrated database."""

    async def run(store: Store) -> Any:
        return await store._run(work, "BEGIN IMMEDIATE")

    return use_store(run, url)


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def of_owners(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Whether it is there for the owners of rows: on PostgreSQL only, and tests/integration/charts has a look
    at it."""
    if kind == "foreign_key_constraint":
        return bool(thing.referred_table.name == "bots")
    return name in ("owner", "uq_bots_owner", "uq_fills_trade")


def test_migrations_and_tables_agree(database: str) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        options: dict[str, Any] = {
            "version_table": VERSION_TABLE,
            "compare_type": True,
            "compare_server_default": True,
        }
        if connection.dialect.name == "postgresql":
            options["include_object"] = lambda *what: not of_owners(*what)
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, tables.metadata))

    assert on_connection(database, differences) == []


def test_what_the_version_before_called_otherwise_is_read_as_it_is_called_now(database: str) -> None:
    from tests.integration.storage import tables_before as before

    sqlite = database.startswith("sqlite")
    asyncio.run(before.migrate_to(database, "0004", *before.rows(sqlite, "desk/two", "desk/one")))

    async def read() -> tuple[list[StoredRow[OrderRow]], list[NoticeRow]]:
        async with await open_journal(database) as journal:
            chosen = Filter("desk/two")
            return (await journal.orders(chosen)).rows, [e.row for e in await journal.notices(chosen)]

    orders, notices = asyncio.run(read())
    newest_first = list(before.STATES.values())[::-1]
    assert [entry.row.state for entry in orders] == newest_first
    assert {(entry.row.attempt, entry.row.order_type) for entry in orders} == {(3, "limit")}
    assert {str(entry.row.quantity) for entry in orders} == {"0.10"}
    assert [notice.code for notice in notices] == ["overfill", "needs-review"]
    query = sa.text("SELECT bot, place FROM notices ORDER BY number")
    found = on_connection(database, lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in found] == [(2, 0), (2, 1), (1, 0), (1, 1)], "by their time"
    with pytest.raises(StorageError, match="its tables are of another version than this program"):
        on_connection(database, lambda c: c.exec_driver_sql(before.order(sqlite, 1, 50, "refused")))


def test_a_migration_can_be_taken_back(database: str) -> None:
    from tests.integration.storage import tables_before as before

    sqlite = database.startswith("sqlite")
    asyncio.run(before.migrate_to(database, "0004", *before.rows(sqlite, "desk/one")))
    asyncio.run(before.migrate_to(database, "0005"))
    asyncio.run(before.migrate_back(database, "0004"))
    asyncio.run(before.migrate_to(database, "0004", before.order(sqlite, 1, 50, "refused")))
    asyncio.run(before.migrate_to(database, "head"))
    query = sa.text("SELECT state FROM orders ORDER BY created")
    found = on_connection(database, lambda connection: connection.execute(query).scalars().all())
    assert found == [*before.STATES.values(), "rejected"]


def test_rows_of_a_run_are_clustered_by_run_in_sqlite(tmp_path: Path) -> None:
    query = sa.text("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%' ORDER BY name")
    found = on_connection(
        str(tmp_path / "runs.db"), lambda connection: connection.execute(query).scalars().all()
    )
    assert found == sorted(table for table in tables.metadata.tables if table.startswith("run_"))


def test_a_run_takes_its_rows_with_it(database: str) -> None:
    from tests.integration.storage import storage_samples as samples

    async def save(store: Store) -> None:
        await store.save_result(samples.result(), samples.trades(), {})

    use_store(save, database)
    left = on_connection(
        database,
        lambda connection: (
            connection.execute(tables.metadata.tables["runs"].delete()),
            [
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in tables.metadata.tables.values()
            ],
        )[1],
    )
    assert left == [0] * len(tables.metadata.tables)


@pytest.mark.parametrize("module", ["alembic", "sqlalchemy.orm", "pandas", "numba"])
def test_opening_a_current_database_imports_nothing_heavy(database: str, module: str) -> None:
    assert use_store(lambda store: store.list_runs(), database) == []
    program = (
        "import sys; from sigma_bot.results import use_store;"
        "assert 'sqlalchemy' not in sys.modules and 'numpy' not in sys.modules;"
        "assert use_store(lambda store: store.list_runs(), sys.argv[1]) == [];"
        f"assert {module!r} not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, database], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
