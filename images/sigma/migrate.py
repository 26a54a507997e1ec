"""Brings the tables of the database at SIGMA_DATABASE_URL, whose owner this is, to this version's, and gives
the role named as first argument the tables of results. The journal of orders stays out of its reach.
"""

from __future__ import annotations

import asyncio
import sys

import sqlalchemy as sa

import sigma_bot.journal.schema as journal
from sigma_bot.storage.database import WRITE, Database
from sigma_bot.storage.migrate import VERSION_TABLE
from sigma_bot.storage.schema import metadata


def result_tables() -> list[str]:
    """Every table but the journal's."""
    kept = {table.name for table in vars(journal).values() if isinstance(table, sa.Table)}
    return sorted(set(metadata.tables) - kept)


def grant(connection: sa.Connection, role: str) -> None:
    """Let `role` keep results: rows of its tables, and the version it stands at."""
    quote = connection.dialect.identifier_preparer.quote
    for table in result_tables():
        rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {quote(table)} TO {quote(role)}"
        connection.execute(sa.text(rights))
    connection.execute(sa.text(f"GRANT SELECT ON {quote(VERSION_TABLE)} TO {quote(role)}"))
    connection.execute(sa.text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quote(role)}"))


async def main(role: str) -> None:
    database = await Database.open(None, create=True, lock_timeout=60)
    try:
        if role:
            await database.run(lambda connection: grant(connection, role), WRITE)
    finally:
        await database.close()
    print("the tables are of this version")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
