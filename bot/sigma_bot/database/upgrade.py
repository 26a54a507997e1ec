"""Bring a database up to date in a process of its own.

Migrations need SQLAlchemy and Alembic, 30 MiB that a bot would then carry for the rest of its life, and every
room's tables, of which this room knows nothing: so the program is named here and not imported. The address
comes in the environment, where no list of processes shows it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sigma_bot.database.errors import StorageError, UnreachableError
from sigma_bot.database.urls import URL_VARIABLE, database_url

PROGRAM = "sigma_bot.schema"
UNREACHABLE = 4
"""Its exit code when the server does not answer."""


async def upgraded(url: str | None, lock_timeout: float) -> None:
    """Run it and wait. Raises StorageError when the database cannot be used or is of a newer version."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        PROGRAM,
        str(lock_timeout),
        env={**os.environ, URL_VARIABLE: database_url(url)},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    message = (await process.communicate())[1].decode().strip()
    if process.returncode == UNREACHABLE:
        raise UnreachableError(message)
    if process.returncode == StorageError.exit_code:
        raise StorageError(message)
    if process.returncode != 0:
        raise RuntimeError(f"the database could not be brought up to date:\n{message}")
