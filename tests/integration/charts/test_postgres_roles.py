"""The roles that the chart gives PostgreSQL, and the product's own migration and store as each."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from sigma_bot.results import open_store
from sigma_bot.schema import rights


async def test_a_backtest_keeps_its_results_and_sees_no_journal(installed: Any) -> None:
    from tests.integration.storage import storage_samples as samples

    async with await open_store(installed.urls["backtest"]) as store:
        reference = await store.save_result(samples.result(), samples.trades(), {})
        assert (await store.run(reference)).id == reference
    connection = await asyncpg.connect(installed.urls["backtest"])
    try:
        for table in ("bots", "orders", "fills", "leases", "controls"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")
        for statement in ("DELETE FROM runs", "UPDATE run_trials SET digest = ''", "TRUNCATE runs CASCADE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_reader_reads_everything_and_changes_nothing(installed: Any) -> None:
    connection = await asyncpg.connect(installed.urls["reader"])
    try:
        assert await connection.fetchval("SELECT count(*) FROM orders") is not None
        await connection.execute("SET default_transaction_read_only = off")
        for table in ("orders", "runs"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")
    finally:
        await connection.close()


GRANTED = """
    SELECT table_name, grantee, privilege_type, '' FROM information_schema.role_table_grants
        WHERE table_schema = 'public' AND grantee = ANY($1)
    UNION SELECT table_name, grantee, privilege_type, column_name
        FROM information_schema.role_column_grants AS c
        WHERE table_schema = 'public' AND grantee = ANY($1) AND NOT EXISTS (
            SELECT FROM information_schema.role_table_grants AS t WHERE t.table_schema = 'public'
            AND (t.table_name, t.grantee, t.privilege_type) = (c.table_name, c.grantee, c.privilege_type))
"""
"""Who may do what with which table, or with which of its columns."""


def in_rights() -> set[tuple[str, str, str, str]]:
    """The same, as the table of rights has it."""
    out = set()
    for table, of_role in rights.RIGHTS.items():
        for role, verbs in of_role.items():
            for verb in verbs:
                what, _, columns = verb.partition(" ")
                out |= {(table, role, what, column) for column in columns.strip("()").split(", ")}
    return out


async def test_what_is_granted_is_the_table_of_rights(installed: Any) -> None:
    """For every role, table and verb."""
    connection = await asyncpg.connect(installed.urls["owner"])
    try:
        found = {tuple(row) for row in await connection.fetch(GRANTED, list(rights.ROLES))}
        assert found == in_rights()
        for name, roles in rights.SEQUENCES.items():
            for role in rights.ROLES:
                may = await connection.fetchval("SELECT has_sequence_privilege($1, $2, 'USAGE')", role, name)
                assert may == (role in roles), (name, role)
        counted = await connection.fetch("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")
        assert {row[0] for row in counted} == set(rights.SEQUENCES)
    finally:
        await connection.close()


async def test_a_table_that_nobody_thought_of_is_its_owners_alone(installed: Any) -> None:
    """The reader would else read the tokens that a later version keeps."""
    connection = await asyncpg.connect(installed.urls["owner"])
    try:
        await connection.execute("CREATE TABLE tokens (secret text)")
        for given in (False, True):
            if given:
                await asyncio.to_thread(installed.migrate)
            for role in rights.ROLES:
                for verb in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                    may = "SELECT has_any_column_privilege($1, 'tokens', $2)"
                    if verb == "DELETE":
                        may = "SELECT has_table_privilege($1, 'tokens', $2)"
                    assert not await connection.fetchval(may, role, verb), (role, verb)
    finally:
        await connection.execute("DROP TABLE IF EXISTS tokens")
        await connection.close()
