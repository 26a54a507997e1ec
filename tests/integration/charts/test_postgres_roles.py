"""The roles that the chart gives PostgreSQL, and the product's own migration and store as each."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from sigma_bot.results import open_store


async def test_a_backtest_keeps_its_results_and_sees_no_journal(installed: Any) -> None:
    import storage_samples as samples

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
