"""Which database, and how to name it without its secrets. Text only: no driver is imported here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.paths import address_in, home
from sigma_bot.redaction import redact_url

URL_VARIABLE = "SIGMA_DATABASE_URL"
FILE_VARIABLE = "SIGMA_DATABASE_URL_FILE"
SCHEMES = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


@dataclass(frozen=True)
class DatabaseAddress:
    """A database: ``url`` as SQLAlchemy takes it (secrets inside), ``shown`` for people, ``path`` for SQLite
    only.
    """

    url: str
    shown: str
    path: Path | None

    def __repr__(self) -> str:
        return f"Place({self.shown})"

    @property
    def driver_url(self) -> str:
        """A PostgreSQL's address as asyncpg itself takes it."""
        address = self.url.replace("+asyncpg", "", 1)
        # The driver's own keyword, but not its word in an address.
        return re.sub(r"([?&])ssl=", r"\1sslmode=", address)


def database_url(explicit: str | None = None) -> str:
    """The address to use: ``--db``, else ``SIGMA_DATABASE_URL``, else what the file of
    ``SIGMA_DATABASE_URL_FILE`` holds, else ``sigma.db`` in the user's folder.

    Raises BadInputError for a file without an address: a bot must not begin anew in another database.
    """
    return (
        explicit
        or os.environ.get(URL_VARIABLE)
        or address_in(FILE_VARIABLE)
        or f"sqlite:///{home() / 'sigma.db'}"
    )


def parse_address(explicit: str | None = None) -> DatabaseAddress:
    """Read an address. A bare path is a SQLite file; ``postgresql://`` (or ``postgres://``) means asyncpg."""
    url = database_url(explicit)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _sqlite_address(url)
    if scheme not in SCHEMES:
        raise BadInputError(
            f"database address: scheme {scheme!r} is not known{nearest(scheme, SCHEMES)}; "
            "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        )
    if SCHEMES[scheme].startswith("sqlite"):
        return _sqlite_address(rest.removeprefix("/"))
    # libpq calls it sslmode, asyncpg calls it ssl; people paste the former.
    rest = re.sub(r"([?&])sslmode=", r"\1ssl=", rest)
    return DatabaseAddress(f"{SCHEMES[scheme]}://{rest}", redact_url(f"postgresql://{rest}"), None)


def _sqlite_address(name: str) -> DatabaseAddress:
    if name in ("", ":memory:") or name.startswith("?"):
        raise BadInputError(
            "database address names no file; write sqlite:///FILE, for example sqlite:///runs.db"
        )
    path = Path(name).expanduser().absolute()
    return DatabaseAddress(f"sqlite+aiosqlite:///{path}", f"sqlite:///{path}", path)
