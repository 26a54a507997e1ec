"""From the time when all bots shared one login: nothing is lost, and what runs goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from sigma_bot.database import driver as direct
from sigma_bot.database import engine as databases
from sigma_bot.database.urls import place
from sigma_bot.journal import LeaseLostError, open_journal
from sigma_bot.schema import migrate, rights
from sigma_bot.schema.granting import Account, grant

ROLES = ("owner", "bot", "backtest", "reader")


def install_as_before(server: Any) -> dict[str, str]:
    """Roles and tables of the version before, with the addresses of the roles."""
    server.execute(*(f"CREATE ROLE sigma_{role} LOGIN PASSWORD 'old'" for role in ROLES))
    server.execute("CREATE DATABASE sigma OWNER sigma_owner")
    server.execute(
        "GRANT CONNECT ON DATABASE sigma TO sigma_bot",
        "ALTER SCHEMA public OWNER TO sigma_owner",
        "GRANT USAGE ON SCHEMA public TO sigma_bot",
        "ALTER DEFAULT PRIVILEGES FOR ROLE sigma_owner IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sigma_bot",
        "ALTER DEFAULT PRIVILEGES FOR ROLE sigma_owner IN SCHEMA public"
        " GRANT USAGE ON SEQUENCES TO sigma_bot",
        database="sigma",
    )
    urls = {role: f"postgresql://sigma_{role}:old@127.0.0.1:{server.port}/sigma" for role in ROLES}
    asyncio.run(migrate_to(urls["owner"], "0002"))
    return urls


async def migrate_to(url: str, revision: str) -> None:
    def work(connection: sa.Connection) -> None:
        from alembic.command import upgrade
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        upgrade(config, revision)

    where = place(url)
    database = databases.Database(databases._engine(where, 10), where)
    await database.run(work, databases.WRITE)
    await database.close()


@pytest.fixture
def installed_before(over: Any) -> dict[str, str]:
    """The version before, with the addresses of its roles."""
    return install_as_before(over.server)


async def counts(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        return {
            name: await connection.fetchval(f"SELECT count(*) FROM {name}")
            for name in rights.journal_tables()
        }
    finally:
        await connection.close()


async def test_an_upgrade_keeps_data_and_what_runs(
    over: Any, installed_before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from journal_samples import NOW, fill, started, whole

    from sigma_bot.model.orders import Change

    chart, old = over, installed_before
    monkeypatch.setattr(direct, "REVISION", "0002")
    running = await open_journal(old["bot"])
    leases = {name: await started(running, name, account=name[5:]) for name in ("desk/one", "desk/two")}
    for name, lease in leases.items():
        change = whole()
        change.fills = [fill(f"{name} {trade}") for trade in ("1", "2")]
        assert await running.commit(lease, change) == 1
    monkeypatch.undo()
    stored = await counts(chart_superuser(chart))

    chart.start()
    assert await running.commit(leases["desk/one"], Change(tick=8, ts=NOW)) == 2, (
        "between start and migration"
    )
    await asyncio.to_thread(chart.migrate)
    assert await counts(chart_superuser(chart)) == stored
    for lease in leases.values():
        assert await running.commit(lease, Change(tick=9, ts=NOW, fills=[fill(f"{lease.bot} 3")])) > 1
    again = await asyncpg.connect(old["bot"])  # after a restart of the server
    assert await again.fetchval("SELECT rolvaliduntil > now() FROM pg_roles WHERE rolname = 'sigma_bot'")
    await again.close()

    url = await grant(chart.urls["granter"], "desk/one", Account("desk", "live", "upbit", "one"))
    async with await open_journal(url) as journal:
        assert [bot.name for bot in await journal.bots()] == ["desk/one"]
        loaded = await journal.load("desk/one")
        assert loaded is not None
        assert (loaded.commit, len(loaded.orders), len(loaded.fills)) == (3, 2, 3)
        lease = await journal.acquire("desk/one", "holder of desk/one", 60)
        known = Change(tick=10, ts=NOW, fills=[fill("desk/one 1"), fill("desk/one 4")])
        assert await journal.commit(lease, known) == 4
        assert len(await journal.fills("desk/one")) == 4, "a trade from before was booked twice"
    with pytest.raises(LeaseLostError, match="went to holder of desk/one"):
        await running.commit(leases["desk/one"], Change(tick=10, ts=NOW))
    assert await running.commit(leases["desk/two"], Change(tick=10, ts=NOW)) == 3
    await running.close()


def chart_superuser(chart: Any) -> str:
    """Address of who sees every row."""
    return str(chart.server.database_url("sigma"))
