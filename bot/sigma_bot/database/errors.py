"""What a database's refusal means, in words for the user. No message and no cause carries a password."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sigma_bot.database.urls import DatabaseAddress
from sigma_bot.errors import BadInputError


class StorageError(BadInputError):
    """The database cannot be used. The message names it (password hidden), says why and what would help."""


class UnreachableError(StorageError):
    """The server does not answer now; it may later."""

    exit_code = 1


class CommitUnknownError(StorageError):
    """The connection was lost on the commit itself: all of it is stored, or nothing."""


# SQLSTATE, or its class of two characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OTHER_TABLES = (
    "its tables are of another version than this program: they were brought up to date while it ran; start "
    "it anew, of that version"
)
_POSTGRES = {
    "28": "the user name or the password is wrong",
    "3D000": "no such database on this server; create it first (createdb)",
    "42501": (
        "the user may not do this; the login of an account reaches that account's bots only, who makes "
        "the tables needs it: grant CREATE and USAGE on the schema"
    ),
    "42703": _OTHER_TABLES,
    "42P01": _OTHER_TABLES,
    "25006": "the database is read-only; name one that can be written",
    "53100": "the server's disk is full; free some space and run again, nothing was stored",
    "53300": "the server takes no more connections",
    "55P03": "another process holds the lock; try again when it is done",
    "57P": "the server is starting up or shutting down; try again",
    "08": "the connection was lost; nothing was stored",
}
_ADDRESS = (
    "the address cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, odd characters %-escaped, "
    "with no option that the driver (asyncpg) does not know"
)
_SQLITE = {
    "no such column": _OTHER_TABLES,
    "no such table": _OTHER_TABLES,
    "has no column named": _OTHER_TABLES,
    "database is locked": "another process holds the lock; try again when it is done",
    "database table is locked": "another process holds the lock; try again when it is done",
    "readonly database": "the file or its folder is read-only; name another with --db",
    "disk is full": "the disk is full; free some space and run again, nothing was stored",
    "disk i/o error": "the file could not be written or read (disk full, quota, a fault); nothing was stored",
    "unable to open": "the file cannot be opened; its folder must exist and be writable",
    "not a database": "the file is not a SQLite database; name another with --db",
    "malformed": "the file is damaged; restore it from a copy or name another with --db",
}


@contextmanager
def translating_errors(where: DatabaseAddress, opening: bool = False) -> Iterator[None]:
    """Turn what the database raises inside into StorageError; anything else passes.

    While ``opening``, a driver's own complaint of a value is about the address: a port, an unknown option.
    """
    try:
        yield
    except Exception as error:
        reason = (
            _ADDRESS
            if opening and isinstance(error, (ValueError, TypeError, OverflowError))
            else _reason(error)
        )
        if reason is None:
            raise
        # The cause is dropped, not chained: a driver's own text may quote the address.
        kind = UnreachableError if _is_transient(error) else StorageError
        raise kind(f"database {where.shown}: {reason}") from None


def _is_transient(error: Exception) -> bool:
    """Whether the same question may be answered in a while: the server starts, stops, is full or far away."""
    origin = _origin(error)
    state = getattr(origin, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(("57P", "08", "53300"))
    return isinstance(origin, OSError)


def _reason(error: Exception) -> str | None:
    """The user's words for ``error``, or None when it is not the database's doing."""
    origin = _origin(error)
    state = getattr(origin, "sqlstate", None)
    if _is(error, "ArgumentError"):
        reason = _ADDRESS
    elif isinstance(state, str):
        reason = _by_state(state, origin)
    elif isinstance(origin, sqlite3.Error):
        reason = _by_text(str(origin))
    elif isinstance(origin, OSError):
        why = origin.strerror or "no answer in time"
        reason = f"cannot be reached ({why}); check that the server runs and that host and port are right"
    elif _is(error, "DBAPIError", "TimeoutError") or _of_driver(origin):
        reason = f"{type(origin).__name__}: {_first_line(origin)}"
    else:
        return None
    return reason


def _is(error: BaseException, *names: str) -> bool:
    """Whether it is one of SQLAlchemy's own; without importing it: a bot has no other use for it."""
    library = sys.modules.get("sqlalchemy.exc")
    return library is not None and isinstance(error, tuple(getattr(library, name) for name in names))


def _origin(error: Exception) -> BaseException:
    """The driver's own error."""
    if _is(error, "DBAPIError"):
        origin: BaseException | None = getattr(error, "orig", None)
        return error if origin is None else origin
    return error


def _of_driver(error: BaseException) -> bool:
    """Whether asyncpg raised it, in use of a connection that is gone or was cut in the middle of a word."""
    library = sys.modules.get("asyncpg")
    return library is not None and isinstance(error, (library.InterfaceError, library.InternalClientError))


def _by_state(state: str, origin: BaseException) -> str:
    for length in (5, 3, 2):
        if state[:length] in _POSTGRES:
            return _POSTGRES[state[:length]]
    return f"the server refused ({state}): {_first_line(origin)}"


def _by_text(text: str) -> str:
    lowered = text.lower()
    for part, words in _SQLITE.items():
        if part in lowered:
            return words
    return f"SQLite refused: {text}"


def _first_line(error: object) -> str:
    """The driver's sentence without the class name that the adapter puts before it."""
    return re.sub(r"^<class '[^']*'>: ", "", str(error)).partition("\n")[0]
