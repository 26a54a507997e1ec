"""From the time when all bots shared one login: nothing is lost, and what runs goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from sigma_bot.journal import Filter, LeaseLostError, open_journal
from sigma_bot.schema import rights
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
    from tests.integration.storage.tables_before import migrate_to

    asyncio.run(migrate_to(urls["owner"], "0002"))
    return urls


@pytest.fixture
def installed_before(over: Any) -> dict[str, str]:
    """The version before, with the addresses of its roles."""
    return install_as_before(over.server)


async def counts(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        there = {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables")}
        return {
            name: await connection.fetchval(f"SELECT count(*) FROM {name}")
            for name in rights.SECURED
            if name in there
        }
    finally:
        await connection.close()


async def test_an_upgrade_keeps_data_and_what_runs(over: Any, installed_before: dict[str, str]) -> None:
    from sigma_bot.model.orders import Change
    from tests.integration.journal.journal_samples import NOW, fill
    from tests.integration.storage.tables_before import STATES, order, rows

    chart, old = over, installed_before
    shared = await asyncpg.connect(old["bot"])
    for statement in rows(False, "desk/one", "desk/two"):
        await shared.execute(statement)
    chart.start()
    await shared.execute(order(False, 1, 99, "refused"))  # between start and migration
    stored = await counts(chart_superuser(chart))
    await asyncio.to_thread(chart.migrate)
    assert await counts(chart_superuser(chart)) == {**dict.fromkeys(rights.SECURED, 0), **stored}
    with pytest.raises(asyncpg.UndefinedColumnError):  # the older code, still running
        await shared.execute(order(False, 1, 100, "refused"))
    with pytest.raises(asyncpg.CheckViolationError):
        await shared.execute("UPDATE orders SET state = 'refused'")
    await shared.close()

    running = await open_journal(old["bot"])  # of this version, and not yet given a login of its own
    leases = {name: await running.acquire(name, f"holder of {name}", 60) for name in ("desk/one", "desk/two")}
    for lease in leases.values():
        assert await running.commit(lease, Change(tick=9, ts=NOW, fills=[fill(f"{lease.bot} 1")])) == 2
    again = await asyncpg.connect(old["bot"])  # after a restart of the server
    assert await again.fetchval("SELECT rolvaliduntil > now() FROM pg_roles WHERE rolname = 'sigma_bot'")
    await again.close()

    url = await grant(chart.urls["granter"], "desk/one", Account("desk", "live", "upbit", "one"))
    async with await open_journal(url) as journal:
        assert [bot.name for bot in await journal.bots()] == ["desk/one"]
        states = [entry.row.state for entry in await journal.orders(Filter("desk/one"))]
        assert sorted(states) == sorted([*STATES.values(), "rejected"])
        loaded = await journal.load("desk/one")
        assert loaded is not None
        assert (loaded.commit, len(loaded.orders), len(loaded.fills)) == (2, 5, 2)
        lease = await journal.acquire("desk/one", "holder of desk/one", 60)
        known = Change(tick=10, ts=NOW, fills=[fill("desk/one 1"), fill("desk/one 2")])
        assert await journal.commit(lease, known) == 3
        assert len(await journal.fills(Filter("desk/one"))) == 3, "a trade from before was booked twice"
    with pytest.raises(LeaseLostError, match="went to holder of desk/one"):
        await running.commit(leases["desk/one"], Change(tick=10, ts=NOW))
    assert await running.commit(leases["desk/two"], Change(tick=10, ts=NOW)) == 3
    await running.close()


def chart_superuser(chart: Any) -> str:
    """Address of who sees every row."""
    return str(chart.server.database_url("sigma"))
