"""The roles that the chart gives PostgreSQL, and the product's own migration, journal and store as each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from sigma_bot.journal import open_journal
from sigma_bot.storage import open_store

TESTS = Path(__file__).resolve().parents[2]
ROOT = TESTS.parent
for folder in ("cluster", "integration/journal", "integration/storage"):
    sys.path.append(str(TESTS / folder))
ROLES = ("owner", "bot", "backtest", "reader")


def chart() -> dict[str, Any]:
    """The objects of the chart by kind."""
    from onenode.tools import clients

    command = [clients() / "helm", "template", "x", ROOT / "charts" / "postgres"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout) if found}


@pytest.fixture(scope="module")
def urls(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses by role, on a server that ran the chart's file twice, as over a restart, and was migrated."""
    folder = tmp_path_factory.mktemp("passwords")
    objects = chart()
    words = objects["Secret"]["stringData"]
    for role in ROLES:
        (folder / role).write_text(words[role])
    script = folder / "roles.sql"
    script.write_text(objects["ConfigMap"]["data"]["roles.sql"].replace("/etc/sigma-passwords", str(folder)))
    for _ in range(2):
        subprocess.run(["psql", "-Xq", postgres_server.url, "-f", script], check=True, capture_output=True)
    host = f"127.0.0.1:{postgres_server.port}/sigma"
    found = {role: f"postgresql://sigma_{role}:{words[role]}@{host}" for role in ROLES}
    migrate = [sys.executable, ROOT / "images" / "sigma" / "migrate.py", "sigma_backtest"]
    environment = {**os.environ, "SIGMA_DATABASE_URL": found["owner"], "PYTHONPATH": str(ROOT / "bot")}
    for _ in range(2):
        subprocess.run(migrate, env=environment, check=True)
    yield found
    postgres_server.execute(
        "DROP DATABASE sigma WITH (FORCE)", *(f"DROP ROLE sigma_{role}" for role in ROLES)
    )


async def test_a_bot_keeps_its_journal(urls: dict[str, str]) -> None:
    from journal_samples import started, whole

    async with await open_journal(urls["bot"]) as journal:
        lease = await started(journal)
        assert await journal.commit(lease, whole()) == 1
        assert await journal.load("ema") is not None
        assert len(await journal.bots()) == 1


async def test_a_backtest_keeps_its_results_and_sees_no_journal(urls: dict[str, str]) -> None:
    import storage_samples as samples

    async with await open_store(urls["backtest"]) as store:
        reference = await store.save_result(samples.result(), samples.trades(), {})
        assert (await store.run(reference)).id == reference
    connection = await asyncpg.connect(urls["backtest"])
    try:
        for table in ("bots", "orders", "fills", "leases"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")
    finally:
        await connection.close()


async def test_a_bot_reads_results(urls: dict[str, str]) -> None:
    async with await open_store(urls["bot"]) as store:
        assert isinstance(await store.list_runs(), list)


async def test_a_reader_reads_everything_and_changes_nothing(urls: dict[str, str]) -> None:
    connection = await asyncpg.connect(urls["reader"])
    try:
        assert await connection.fetchval("SELECT count(*) FROM orders") is not None
        await connection.execute("SET default_transaction_read_only = off")
        for table in ("orders", "runs"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")
    finally:
        await connection.close()
