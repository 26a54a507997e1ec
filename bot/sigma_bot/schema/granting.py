"""Give a bot's account its login in PostgreSQL and write down the address:
``python -m sigma_bot.schema.granting NAMESPACE BOT MODE VENUE ACCOUNT FILE``.

It runs before the bot, beside it and apart from it: its own login (``SIGMA_DATABASE_URL``), which may make
logins, never reaches the bot. The bots of an account share one login, as they share its limits. The password
is a digest of that login's own password and the account, so it is the same however often bots of the account
start. Rows that an older version wrote for this bot become the account's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from sigma_bot.database.errors import StorageError, UnreachableError, translating_errors
from sigma_bot.database.revision import REVISION, VERSION_TABLE
from sigma_bot.database.urls import DatabaseAddress, parse_address
from sigma_bot.errors import BadInputError, SigmaError
from sigma_bot.retry import retry_for

PATIENCE_S = 30.0
"""How long a server that does not answer, or tables that are being brought up to date, are waited for."""
GROUP = "sigma_bot"
PREFIX = "sigma_account_"
_ADVISORY_KEY = 0x5349474D42
_ITERATIONS = 4096  # PostgreSQL's own


@dataclass(frozen=True)
class Account:
    """What shares a login."""

    namespace: str
    mode: str
    venue: str
    name: str

    @property
    def role(self) -> str:
        """The login's name; row security makes the same of a bot's row."""
        words = "\n".join((self.namespace, self.mode, self.venue, self.name))
        return PREFIX + hashlib.sha256(words.encode()).hexdigest()[:24]


def address_of(url: str, role: str) -> str:
    """The address of a role: ``url`` with its name and a password that follows from the one in ``url``.

    Raises BadInputError when there is none.
    """
    parts = urlsplit(url)
    if not parts.password:
        raise BadInputError(
            "SIGMA_DATABASE_URL: holds no password; write postgresql://USER:PASSWORD@HOST/NAME"
        )
    word = password(unquote(parts.password), role)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{word}@{host}"))


def password(key: str, role: str) -> str:
    """64 hex digits."""
    return hmac.new(key.encode(), role.encode(), hashlib.sha256).hexdigest()


def verifier(word: str, salt: bytes) -> str:
    """What the server keeps of a password (RFC 5802): so the password itself never stands in a statement,
    which the server might log.
    """
    salted = hashlib.pbkdf2_hmac("sha256", word.encode(), salt, _ITERATIONS)
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    parts = (base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *parts)


async def grant(url: str, bot: str, account: Account) -> str:
    """Make the account's login, or set it right; its address. Raises StorageError in words for the user."""
    where = parse_address(url)
    if where.path is not None:
        raise BadInputError(f"SIGMA_DATABASE_URL: logins of accounts need PostgreSQL, not {where.shown}")
    told = address_of(url, account.role)
    word = urlsplit(told).password or ""
    kept = verifier(word, secrets.token_bytes(16))
    await retry_for(PATIENCE_S, lambda: _grant(where, bot, account, kept), UnreachableError, 0.5)
    return told


async def _grant(where: DatabaseAddress, bot: str, account: Account, kept: str) -> None:
    import asyncpg

    with translating_errors(where):
        connection = await asyncpg.connect(where.driver_url, timeout=10, command_timeout=60)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_KEY)
                _check(where, await _revision(connection))
                await _login(connection, account.role, kept)
                await connection.execute(
                    "UPDATE bots SET owner = $1 WHERE name = $2 AND mode = $3 AND venue = $4 AND account = $5"
                    " AND owner <> $1",
                    *(account.role, bot, account.mode, account.venue, account.name),
                )
        finally:
            await connection.close(timeout=10)


async def _revision(connection: object) -> str:
    fetch = connection.fetchval  # type: ignore[attr-defined]
    if await fetch("SELECT to_regclass($1)::text", VERSION_TABLE) is None:
        return ""
    return str(await fetch(f"SELECT version_num FROM {VERSION_TABLE}"))


def _check(where: DatabaseAddress, found: str) -> None:
    if found > REVISION:
        raise StorageError(
            f"database {where.shown}: written by a newer version of SIGMA-X (tables {found}, this one knows "
            f"{REVISION})"
        )
    if found < REVISION:
        raise UnreachableError(
            f"database {where.shown}: its tables are of an older version ({found or 'none'}, needed "
            f"{REVISION}); the chart's migration has not run yet"
        )


async def _login(connection: object, role: str, kept: str) -> None:
    execute, fetch = connection.execute, connection.fetchval  # type: ignore[attr-defined]
    there = await fetch("SELECT true FROM pg_roles WHERE rolname = $1", role)
    if not there:
        await execute(f"CREATE ROLE {role} LOGIN PASSWORD '{kept}' IN ROLE {GROUP}")
    else:
        await execute(f"ALTER ROLE {role} LOGIN PASSWORD '{kept}'")


def write(file: Path, address: str) -> None:
    """Whole or not at all, for its owner's eyes."""
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(address)
    part.replace(file)


def main(arguments: list[str]) -> int:
    """0, or the exit code of the error, whose words go to standard error."""
    namespace, bot, mode, venue, name, file = arguments
    try:
        url = os.environ.get("SIGMA_DATABASE_URL", "")
        write(Path(file), asyncio.run(grant(url, bot, Account(namespace, mode, venue, name))))
    except SigmaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
