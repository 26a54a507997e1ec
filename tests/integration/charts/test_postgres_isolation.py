"""No bot reaches the rows of another account in PostgreSQL, by whatever it may say to the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from sigma_bot.database.errors import StorageError
from sigma_bot.errors import BadInputError
from sigma_bot.journal import Filter, open_journal
from sigma_bot.schema import rights
from sigma_bot.schema.granting import Account, grant

OURS, THEIRS = Account("desk", "live", "upbit", "main"), Account("desk", "live", "upbit", "other")
REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError)


async def trade(installed: Any, account: Account, bot: str) -> str:
    """Let a bot of the account write into every table; the account's address."""
    from tests.integration.journal.journal_samples import NOW, identity, whole

    name = f"{account.namespace}/{bot}"
    url = await grant(installed.urls["granter"], name, account)
    async with await open_journal(url) as journal:
        who = identity(name, mode=account.mode, venue=account.venue, account=account.name)
        await journal.register(who, NOW)
        lease = await journal.acquire(name, f"{bot}-0", 60)
        assert await journal.commit(lease, whole(), lambda others: None) == 1
        flatten = await journal.control("strategy", name, "flatten", "why", by="bot", now=NOW)
        await journal.done(name, flatten.id, NOW)
        assert await journal.load(name) is not None
    return url


@pytest.fixture(scope="module")
def urls(installed: Any) -> dict[str, str]:
    """Addresses of two accounts with a bot each."""
    bots = {"ours": (OURS, "mine"), "theirs": (THEIRS, "yours")}
    return {whose: asyncio.run(trade(installed, *bot)) for whose, bot in bots.items()}


@pytest.fixture
async def owner(installed: Any) -> AsyncIterator[asyncpg.Connection]:
    """Who sees everything."""
    connection = await asyncpg.connect(installed.urls["owner"])
    yield connection
    await connection.close()


@pytest.fixture
async def us(urls: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """A bot's login, used by code that means no good."""
    connection = await asyncpg.connect(urls["ours"])
    yield connection
    await connection.close()


async def tables(connection: asyncpg.Connection) -> list[str]:
    found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [row[0] for row in found]


async def foreign(owner: asyncpg.Connection, table: str) -> list[dict[str, Any]]:
    """The rows of a table that are not ours."""
    theirs = f"owner = '{THEIRS.role}'" if table != "controls" else "name = 'desk/yours'"
    return [
        json.loads(row[0]) for row in await owner.fetch(f"SELECT to_json(t) FROM {table} t WHERE {theirs}")
    ]


async def test_every_table_is_secured(owner: asyncpg.Connection) -> None:
    """Of every table that there is, also of one that somebody adds and does not think of."""
    query = "SELECT relname, relrowsecurity FROM pg_class WHERE relname = ANY($1)"
    secured = dict(await owner.fetch(query, await tables(owner)))
    assert {name for name, on in secured.items() if on} == set(rights.SECURED)
    assert set(secured) == set(rights.RIGHTS)


async def test_no_row_of_another_account_is_read_changed_or_forged(
    us: asyncpg.Connection, owner: asyncpg.Connection, urls: dict[str, str]
) -> None:
    for table in rights.SECURED:
        rows = await foreign(owner, table)
        assert rows, f"the other account has nothing in {table}: this test would prove nothing"
        seen = [json.loads(row[0]) for row in await us.fetch(f"SELECT to_json(t) FROM {table} t")]
        assert seen, f"we see nothing of our own in {table}"
        assert not [row for row in seen if row in rows], table
        for column in rows[0]:
            assert await touched(us, f"UPDATE {table} SET {column} = {column}") <= len(seen), table
        assert await touched(us, f"DELETE FROM {table}") == 0, table
        for row in rows:
            await forge(us, table, row)
            await forge(us, table, row | {"owner": OURS.role})
        assert await foreign(owner, table) == rows, table


async def touched(us: asyncpg.Connection, statement: str) -> int:
    """How many rows it would change; none when it is refused."""
    transaction = us.transaction()
    await transaction.start()
    try:
        return int((await us.execute(statement)).split()[-1])
    except REFUSED:
        return 0
    finally:
        await transaction.rollback()


async def forge(us: asyncpg.Connection, table: str, row: dict[str, Any]) -> None:
    """Write a row like theirs, under other keys too where keys are what it would fail of."""
    query = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, $1)"
    free = {"id": 10**6, "client_id": "forged", "trade_id": "forged", "number": 99, "commit_no": 99}
    for given in (row, row | {key: value for key, value in free.items() if key in row}):
        with pytest.raises(REFUSED):
            await us.execute(query, json.dumps(given))


@pytest.mark.parametrize(
    "statement",
    [
        "SET SESSION AUTHORIZATION {theirs}",
        "SET ROLE {theirs}",
        "SET ROLE sigma_granter",
        "GRANT {theirs} TO {ours}",
        "GRANT sigma_bot TO sigma_reader",
        "ALTER ROLE {theirs} PASSWORD 'x'",
        "ALTER ROLE {ours} CREATEROLE",
        "ALTER ROLE {ours} BYPASSRLS",
        "CREATE ROLE other",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own ON orders",
        "CREATE POLICY all_of_it ON orders USING (true)",
        "TRUNCATE orders",
        "DO $$ BEGIN LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; END $$",
        "SET row_security = off; SELECT count(*) FROM orders",
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY orders TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "UPDATE bots SET owner = owner",
        "UPDATE bots SET name = 'desk/another'",
        "SELECT * FROM runs",
        "DELETE FROM sigma_version",
    ],
)
async def test_a_login_gets_no_further(us: asyncpg.Connection, urls: dict[str, str], statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await us.execute(statement.format(ours=OURS.role, theirs=THEIRS.role))


async def test_the_group_sees_nothing(us: asyncpg.Connection) -> None:
    try:
        await us.execute("SET ROLE sigma_bot")
    except asyncpg.InsufficientPrivilegeError:
        return
    names = {row[0] for row in await us.fetch("SELECT name FROM bots")}
    assert names <= {"desk/mine"}


async def test_nobody_takes_a_lease_of_another_account(urls: dict[str, str]) -> None:
    async with await open_journal(urls["ours"]) as journal:
        with pytest.raises(BadInputError, match="desk/yours"):
            await journal.acquire("desk/yours", "yours-0", 60)
        assert [bot.name for bot in await journal.bots()] == ["desk/mine"]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("desk/yours", {}, "with another account"),
        ("desk/new", {"account": "other"}, "that account's bots only"),
        ("desk/new", {"venue": "binance"}, "that account's bots only"),
        ("desk/new", {"mode": "sim"}, "that account's bots only"),
        ("other/new", {}, "that account's bots only"),
        ("new", {}, "that account's bots only"),
    ],
)
async def test_a_bot_is_of_its_logins_account(
    urls: dict[str, str], name: str, changes: dict[str, str], said: str
) -> None:
    from tests.integration.journal.journal_samples import NOW, identity

    async with await open_journal(urls["ours"]) as journal:
        with pytest.raises(BadInputError, match=said):
            await journal.register(identity(name, **changes), NOW)


async def test_a_sim_bot_trades(installed: Any, tmp_path: Any) -> None:
    """Ticks, orders, fills and a restart, with the login of an account and no more."""
    from tests.integration.trading import sim_rig

    told = sim_rig.manifest()
    told = told.model_copy(update={"metadata": told.metadata.model_copy(update={"namespace": "desk"})})
    account = Account("desk", "sim", "upbit", "main")
    url = await grant(installed.urls["granter"], "desk/cross", account)
    prices = [100_000_000.0 + (i % 40 if i // 40 % 2 else 40 - i % 40) * 50_000 for i in range(600)]
    bus, rows = sim_rig.open_bus("memory://", tmp_path / "spool"), iter(sim_rig.batches(prices))
    async with await sim_rig.open_journal(url) as journal:
        for last in (300, 600):
            async with sim_rig.running(journal, bus, told) as bot:
                for row in rows:
                    await sim_rig.publish(bus, [row])
                    if bot.session is None or bot.session.bot.progress.tick == 0:
                        await asyncio.sleep(0.01)  # a new bot begins with the tick after it has come
                    if row.seq == last:
                        break
                await sim_rig.processed(bot, last)
        assert await journal.fills(Filter("desk/cross"))
    await bus.close()


async def halts(url: str, bot: str) -> list[str]:
    async with await open_journal(url) as journal:
        return [control.reason for control in (await journal.controls_for(bot)).halts]


async def test_halts_reach_whom_they_concern(installed: Any, urls: dict[str, str]) -> None:
    """A bot reads what is for all, for its account and for itself, and gives controls to itself alone."""
    async with await open_journal(installed.urls["control"]) as people:
        assert {bot.name for bot in await people.bots()} >= {"desk/mine", "desk/yours"}
        for scope, name in (
            ("all", ""),
            ("account", "main"),
            ("strategy", "desk/mine"),
            ("account", "other"),
        ):
            await people.control(scope, name, "halt", f"{scope} {name}", "people", 1)  # type: ignore[arg-type]
    assert await halts(urls["ours"], "desk/mine") == ["all ", "account main", "strategy desk/mine"]
    assert "account other" in await halts(urls["theirs"], "desk/yours")
    async with await open_journal(urls["ours"]) as journal:
        for scope, name in (("all", ""), ("account", "main")):
            with pytest.raises(StorageError, match="that account's bots only"):
                await journal.control(scope, name, "resume", "", "bot", 2)  # type: ignore[arg-type]
        with pytest.raises(BadInputError):
            await journal.control("strategy", "desk/yours", "resume", "", "bot", 2)
        await journal.control("strategy", "desk/mine", "resume", "", "bot", 2)
    assert await halts(urls["ours"], "desk/mine") == ["all ", "account main"]


async def test_a_login_outlives_every_start_of_its_bots(installed: Any, urls: dict[str, str]) -> None:
    connection = await asyncpg.connect(urls["ours"])
    try:
        again = await grant(installed.urls["granter"], "desk/another", OURS)
        assert again == urls["ours"]
        assert await connection.fetchval("SELECT count(*) FROM bots") == 1
        later = await asyncpg.connect(urls["ours"])
        await later.close()
    finally:
        await connection.close()


async def test_the_granter_itself_sees_no_orders(installed: Any) -> None:
    connection = await asyncpg.connect(installed.urls["granter"])
    try:
        for statement in ("SELECT * FROM orders", "UPDATE leases SET holder = ''", "SET ROLE sigma_owner"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
