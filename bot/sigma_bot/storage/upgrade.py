"""Bring a database up to date in a process of its own: ``python -m sigma_bot.storage.upgrade TIMEOUT``.

Migrations need SQLAlchemy and Alembic, 30 MiB that a bot would then carry for the rest of its life. The
address comes in the environment, where no list of processes shows it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sigma_bot.errors import SigmaError
from sigma_bot.storage.errors import StorageError
from sigma_bot.storage.urls import URL_VARIABLE, database_url


async def upgraded(url: str | None, lock_timeout: float) -> None:
    """Run it and wait. StorageError when the database cannot be used or is of a newer version."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sigma_bot.storage.upgrade",
        str(lock_timeout),
        env={**os.environ, URL_VARIABLE: database_url(url)},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    said = (await process.communicate())[1].decode().strip()
    if process.returncode == StorageError.exit_code:
        raise StorageError(said)
    if process.returncode != 0:
        raise RuntimeError(f"the database could not be brought up to date:\n{said}")


async def _upgrade(lock_timeout: float) -> None:
    from sigma_bot.storage.database import Database

    database = await Database.open(None, create=True, lock_timeout=lock_timeout)
    await database.close()


def main() -> int:
    """Exit code 2 with the words of the error on standard error, or 0."""
    try:
        asyncio.run(_upgrade(float(sys.argv[1])))
    except SigmaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
