"""What `helm test` asks: can a bot, with what it is given, use Redis and PostgreSQL, and nothing more?

The network lets a new pod through a second or two after it started, so a store out of reach is waited
for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from sigma_bot.retry import retry_for
from sigma_bot.schema.granting import Account, grant

TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
PATIENCE_S = 60.0


async def reached(url: str, port: int) -> None:
    """Wait until somebody listens there. Raises OSError with the last refusal."""
    parts = urlsplit(url)

    async def connect() -> None:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or port)
        writer.close()

    await retry_for(PATIENCE_S, connect, OSError, 0.2)  # TimeoutError is one


async def redis() -> None:
    client = Redis.from_url(os.environ["SIGMA_REDIS_URL"])
    try:
        await client.set("sigma.bot.selftest", "1", ex=60)
        assert await client.get("sigma.bot.selftest") == b"1"
        for forbidden in (
            client.set("foreign", "1"),
            client.config_get("dir"),
            client.delete("sigma.ticks.x"),
        ):
            try:
                await forbidden
            except NoPermissionError:
                continue
            raise SystemExit("a bot may do in Redis what it must not")
    finally:
        await client.aclose()
    print("redis: a bot reads and writes what is its own")


@asynccontextmanager
async def login(own: bool) -> AsyncIterator[str]:
    """A bot's address: of an account's login, made and removed here, or of the one that all bots share."""
    given = os.environ["SIGMA_DATABASE_URL"]
    if not own:
        yield given
        return
    account = Account("selftest", "sim", "none", "selftest")
    yield await grant(given, "selftest/selftest", account)
    connection = await asyncpg.connect(given)
    try:
        await connection.execute(f"DROP ROLE {account.role}")
    finally:
        await connection.close()


async def postgres(own: bool) -> None:
    async with login(own) as address:
        await look(address, own)


async def look(address: str, own: bool) -> None:
    connection = await asyncpg.connect(address)
    try:
        tables = await connection.fetchval(TABLES)
        assert tables, "no tables: see the log of the migration"
        if own and await connection.fetchval("SELECT count(*) FROM bots"):
            raise SystemExit("a bot sees bots of other accounts in PostgreSQL")
        try:
            await connection.execute("CREATE TABLE selftest (x int)")
        except asyncpg.InsufficientPrivilegeError:
            print(f"postgres: a bot sees {tables} tables and makes none")
            return
        raise SystemExit("a bot may make tables in PostgreSQL")
    finally:
        await connection.close()


async def main() -> None:
    await reached(os.environ["SIGMA_REDIS_URL"], 6379)
    await reached(os.environ["SIGMA_DATABASE_URL"], 5432)
    await redis()
    await postgres("--accounts" in sys.argv)


if __name__ == "__main__":
    asyncio.run(main())
