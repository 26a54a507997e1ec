"""Brings the tables of the database at SIGMA_DATABASE_URL, whose owner this is, to this version's, and gives
every role that there is its rights.
"""

from __future__ import annotations

import asyncio

from sigma_bot.database.engine import WRITE, Database
from sigma_bot.schema import rights


async def main() -> None:
    database = await Database.open(None, create=True, lock_timeout=60)
    try:
        await database.run(rights.grant, WRITE)
    finally:
        await database.close()
    print("the tables are of this version")


if __name__ == "__main__":
    asyncio.run(main())
