"""Leases of what is no bot, by name: a scheduler of which one may run. As of a bot's, the token rises with
every acquisition, over releases too, time is the database's, and the same holder takes over at once.

What a holder does to the database it does in `fenced`, which holds the lease's row to the end of the
transaction: a holder that was frozen past its lease finds it gone and changes nothing. What it does elsewhere
it gives the token to, and refuses a lower one there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sigma_bot.database.driver import DriverDatabase, Session
from sigma_bot.journal.errors import LeaseHeldError, LeaseLostError
from sigma_bot.journal.lease import NamedLease, deadline
from sigma_bot.journal.statements import NOW, positional

T = TypeVar("T")


async def acquire(database: DriverDatabase, name: str, holder: str, ttl_s: float) -> NamedLease:
    """See `Journal.acquire_named`."""
    asked = time.monotonic_ns()

    async def work(session: Session) -> NamedLease:
        now = NOW[session.sqlite]
        query = (
            f"INSERT INTO named_leases (name, holder, token, expires) VALUES (?, ?, 1, {now} + ?)"
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires,"
            f" token = named_leases.token + 1 WHERE named_leases.expires <= {now}"
            " OR named_leases.holder = excluded.holder RETURNING token"
        )
        got = await session.rows(positional(query, session.sqlite), name, holder, int(ttl_s * 1e9))
        if not got:
            held = positional("SELECT holder, expires FROM named_leases WHERE name = ?", session.sqlite)
            [(other, until)] = await session.rows(held, name)
            raise LeaseHeldError(name, other, until, what="lease")
        return NamedLease(name, holder, got[0][0], ttl_s, deadline(asked, ttl_s))

    return await database.run(work)


async def renew(database: DriverDatabase, lease: NamedLease) -> None:
    """See `Journal.renew_named`."""
    asked = time.monotonic_ns()

    async def work(session: Session) -> None:
        query = (
            f"UPDATE named_leases SET expires = {NOW[session.sqlite]} + ?"
            " WHERE name = ? AND token = ? AND holder = ? RETURNING token"
        )
        values = (int(lease.ttl_s * 1e9), lease.name, lease.token, lease.holder)
        if not await session.rows(positional(query, session.sqlite), *values):
            raise await _lost(session, lease)

    await database.run(work)
    lease.deadline_ns = deadline(asked, lease.ttl_s)


async def release(database: DriverDatabase, lease: NamedLease) -> None:
    """See `Journal.release_named`."""
    lease.deadline_ns = 0

    async def work(session: Session) -> None:
        query = "UPDATE named_leases SET holder = '', expires = 0 WHERE name = ? AND token = ? AND holder = ?"
        await session.rows(positional(query, session.sqlite), lease.name, lease.token, lease.holder)

    await database.run(work)


async def fenced(database: DriverDatabase, lease: NamedLease, work: Callable[[Session], Awaitable[T]]) -> T:
    """See `Journal.fenced`."""

    async def held(session: Session) -> T:
        lock = "" if session.sqlite else " FOR UPDATE"
        query = (
            "SELECT token FROM named_leases WHERE name = ? AND token = ? AND holder = ?"
            f" AND expires > {NOW[session.sqlite]}{lock}"
        )
        mine = (lease.name, lease.token, lease.holder)
        if not await session.rows(positional(query, session.sqlite), *mine):
            raise await _lost(session, lease)
        return await work(session)

    return await database.run(held)


async def _lost(session: Session, lease: NamedLease) -> LeaseLostError:
    query = positional("SELECT holder, token FROM named_leases WHERE name = ?", session.sqlite)
    found = await session.rows(query, lease.name)
    if not found:
        return LeaseLostError(f"the lease {lease.name!r} is gone; nothing was stored")
    holder, token = found[0]
    if token == lease.token:
        how = "ended" if holder else "was given back"
    else:
        how = f"went to {holder or 'another process'} (token {token}, ours {lease.token})"
    return LeaseLostError(f"the lease {lease.name!r} {how}; nothing was stored")
