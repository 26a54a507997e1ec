"""The journal: the one truth about a bot's orders, in SQLite or PostgreSQL.

Whatever a step of a bot changes is one `Change` and one transaction, which checks first that the bot's lease
still stands. What is stored here has happened; everything else (messages, memory) can be lost.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

from sigma_bot.database import codec
from sigma_bot.database.driver import BOT_POOL, DriverDatabase, PoolSettings, Session
from sigma_bot.database.errors import CommitUnknownError, StorageError
from sigma_bot.errors import BadInputError
from sigma_bot.journal import controls, named_leases, numbering, queries, single_statement
from sigma_bot.journal.commit import Admit, lease_lost, was_stored, write
from sigma_bot.journal.errors import LeaseHeldError
from sigma_bot.journal.filters import Filter
from sigma_bot.journal.lease import Lease, NamedLease, deadline
from sigma_bot.journal.statements import positional, statements_for
from sigma_bot.journal.types import (
    Action,
    BotIdentity,
    BotRun,
    BotStatus,
    Changes,
    Control,
    Controls,
    NumberedNotice,
    Page,
    Registration,
    ResumePoint,
    Scope,
    StoredRow,
)
from sigma_bot.model.orders import Change, EquityPoint, FillRow, InputRow, NoticeRow, OrderRow

T = TypeVar("T")
EVERYTHING = Filter()


class Journal:
    """An open journal. Use as ``async with await open_journal(url) as journal``.

    Every method is one transaction and may raise StorageError when the database cannot be used.
    """

    def __init__(self, database: DriverDatabase) -> None:
        self._database = database
        self.where = database.where

    @classmethod
    async def open(
        cls, url: str | None, *, create: bool, lock_timeout: float, pool: PoolSettings = BOT_POOL
    ) -> Self:
        """See `sigma_bot.journal.open_journal`."""
        return cls(await DriverDatabase.open(url, create=create, lock_timeout=lock_timeout, pool=pool))

    async def close(self) -> None:
        """Give back every connection."""
        await self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def register(self, identity: BotIdentity, now: int) -> Registration:
        """Make the bot and its first run known, or find them as they are.

        The digests returned are those stored: comparing them with one's own, and what to do about it (refuse,
        `adopt`, `new_run`), is the caller's. Raises BadInputError when the name belongs to another bot.
        """
        return await self._database.run(lambda session: _register(session, identity, now))

    async def adopt(self, lease: Lease, identity: BotIdentity) -> Registration:
        """Go on with the current run under another manifest or other code."""

        async def work(session: Session) -> Registration:
            await _require_lease(session, lease)
            query = (
                "UPDATE bot_runs SET code_digest = ?, manifest_digest = ?, manifest = ?"
                " WHERE bot = ? AND number = (SELECT run FROM bots WHERE id = ?)"
            )
            digests = (identity.code_digest, identity.manifest_digest, codec.dump(identity.manifest))
            await session.rows(positional(query, session.sqlite), *digests, lease.bot_id, lease.bot_id)
            return await _registration(session, identity, fresh=False)

        return await self._database.run(work)

    async def new_run(self, lease: Lease, identity: BotIdentity, now: int, reason: str) -> Registration:
        """End the current run for ``reason`` and begin the next, without a checkpoint."""

        async def work(session: Session) -> Registration:
            sqlite = session.sqlite
            await _require_lease(session, lease)
            await _end_run(session, lease, now, reason)
            raised = "UPDATE bots SET run = run + 1 WHERE id = ? RETURNING run"
            [(run,)] = await session.rows(positional(raised, sqlite), lease.bot_id)
            await _add_run(session, lease.bot_id, run, identity, now)
            return await _registration(session, identity, fresh=True)

        return await self._database.run(work)

    async def begin_ticks(self, lease: Lease, tick: int, ts: int) -> None:
        """Note the first tick of the run; what is noted already stays."""

        async def work(session: Session) -> None:
            await _require_lease(session, lease)
            query = (
                "UPDATE bot_runs SET first_tick = ?, first_ts = ? WHERE bot = ? AND first_tick IS NULL"
                " AND number = (SELECT run FROM bots WHERE id = ?)"
            )
            await session.rows(positional(query, session.sqlite), tick, ts, lease.bot_id, lease.bot_id)

        await self._database.run(work)

    async def acquire(self, bot: str, holder: str, ttl_s: float) -> Lease:
        """The lease of a registered bot for ``ttl_s`` seconds.

        ``holder`` names the place that this process alone can have: a StatefulSet's pod, or a process of a
        host. The same holder takes over at once, with a higher token: what held it before is dead, and what
        it may still try is refused.

        Raises LeaseHeldError, naming who holds it and until when.
        """
        asked = time.monotonic_ns()

        async def work(session: Session) -> Lease:
            sqlite = session.sqlite
            bot_id = await controls.bot_id(session, bot)
            got = await session.rows(statements_for(sqlite).acquire, holder, int(ttl_s * 1e9), bot_id, holder)
            if not got:
                query = positional("SELECT holder, expires FROM leases WHERE bot = ?", sqlite)
                raise LeaseHeldError(bot, *(await session.rows(query, bot_id))[0])
            return Lease(bot, bot_id, holder, got[0][0], ttl_s, deadline(asked, ttl_s))

        return await self._database.run(work)

    async def renew(self, lease: Lease) -> None:
        """Hold on for another ``ttl_s`` seconds from now. A lease that ran out but that nobody else took is
        still ours. Raises LeaseLostError.
        """
        asked = time.monotonic_ns()

        async def work(session: Session) -> None:
            values = (int(lease.ttl_s * 1e9), lease.bot_id, lease.token, lease.holder)
            if not await session.rows(statements_for(session.sqlite).renew, *values):
                raise await lease_lost(session, lease)

        await self._database.run(work)
        lease.deadline_ns = deadline(asked, lease.ttl_s)

    async def release(self, lease: Lease) -> None:
        """Give the lease back. Without effect when it is another's by now."""
        lease.deadline_ns = 0

        async def work(session: Session) -> None:
            query = "UPDATE leases SET holder = '', expires = 0 WHERE bot = ? AND token = ? AND holder = ?"
            await session.rows(positional(query, session.sqlite), lease.bot_id, lease.token, lease.holder)

        await self._database.run(work)

    async def acquire_named(self, name: str, holder: str, ttl_s: float) -> NamedLease:
        """The lease of this name, made when there is none; else as `acquire`."""
        return await named_leases.acquire(self._database, name, holder, ttl_s)

    async def renew_named(self, lease: NamedLease) -> None:
        """As `renew`."""
        await named_leases.renew(self._database, lease)

    async def release_named(self, lease: NamedLease) -> None:
        """As `release`."""
        await named_leases.release(self._database, lease)

    async def fenced(self, lease: NamedLease, work: Callable[[Session], Awaitable[T]]) -> T:
        """``work(session)`` in one transaction that keeps the lease, if it still stands. Raises
        LeaseLostError, with nothing stored."""
        return await named_leases.fenced(self._database, lease, work)

    async def commit(self, lease: Lease, change: Change, admit: Admit | None = None) -> int:
        """Store ``change`` in one transaction; the number of the commit, one more than the last.

        When the change tells a use of the account, ``admit(others)`` is called with what the account's other
        bots use; none of them that asks so can store a use before this change is stored. It may change
        ``change`` in place or raise.

        Raises, with nothing stored: LeaseLostError, IllegalTransitionError, FillConflictError, StorageError.
        CommitUnknownError: the answer was lost, and the database cannot be asked.
        """
        number = 0

        async def work(session: Session) -> None:
            nonlocal number
            number = await write(session, lease, change, admit)

        try:
            if (
                lease.commits is not None
                and single_statement.is_possible(change, admit)
                and not self._database.sqlite
            ):
                number = lease.commits + 1
                if await self._database.single_statement(
                    *single_statement.build(lease, lease.commits, change)
                ):
                    lease.commits = number
                    return number
            await self._database.run(work)
        except CommitUnknownError as unknown:
            try:
                stored = await self._database.run(lambda session: was_stored(session, lease, number))
            except StorageError:
                raise unknown from None
            if not stored:
                raise StorageError(
                    f"database {self.where.shown}: the connection was lost; nothing was stored"
                ) from None
        lease.commits = number
        return number

    async def load(self, bot: str) -> ResumePoint | None:
        """What the bot goes on from; None when it has never been registered."""
        return await self._database.run(lambda session: queries.load(session, bot), write=False)

    async def control(
        self, scope: Scope, name: str, action: Action, reason: str, by: str, now: int
    ) -> Control:
        """Halt, resume or flatten a strategy, an account or everything (``name`` empty).

        Raises BadInputError, with the nearest name, when no bot is meant by it.
        """
        return await self._database.run(
            lambda session: controls.give(session, scope, name, action, reason, by, now)
        )

    async def controls_for(self, bot: str) -> Controls:
        """What holds for the bot now: its own controls, its account's, and those for all."""
        return await self._database.run(lambda session: controls.in_force(session, bot), write=False)

    async def done(self, bot: str, control: int, now: int) -> None:
        """Note that the bot has carried out a flatten. Again is without effect."""
        await self._database.run(lambda session: controls.done(session, bot, control, now))

    async def control_history(self, limit: int = 100) -> list[Control]:
        """Every control that was given, the newest first."""
        return await self._database.run(lambda session: controls.history(session, limit), write=False)

    async def bots(self) -> list[BotStatus]:
        """Every bot by name, with who runs it and what halts it."""
        return await self._database.run(queries.bots, write=False)

    async def orders(self, chosen: Filter = EVERYTHING) -> Page[OrderRow]:
        """Orders, by when they were created, the newest first."""
        return await self._database.run(lambda session: queries.orders(session, chosen), write=False)

    async def fills(self, chosen: Filter = EVERYTHING) -> Page[FillRow]:
        """Fills, by when they were stored, the newest first."""
        return await self._database.run(lambda session: queries.fills(session, chosen), write=False)

    async def inputs(self, chosen: Filter = EVERYTHING) -> Page[InputRow]:
        """Inputs by bot, run and number, the newest first."""
        return await self._database.run(lambda session: queries.inputs(session, chosen), write=False)

    async def notices(self, chosen: Filter = EVERYTHING) -> Page[NoticeRow]:
        """Rejections, alerts and changes of state, by time, the newest first."""
        return await self._database.run(lambda session: queries.notices(session, chosen), write=False)

    async def notices_after(self, number: int, limit: int = 1000) -> list[NumberedNotice]:
        """Notices of all bots with a higher number, the oldest first: for who must miss none.

        Those that have no number yet are given theirs, in a transaction of its own kind (see
        `sigma_bot.journal.numbering`); the login must be allowed to.
        """
        return await self._database.run(lambda session: numbering.notices_after(session, number, limit))

    async def equity(
        self, bot: str, since: int = 0, until: int | None = None
    ) -> list[StoredRow[EquityPoint]]:
        """What the bot's account was worth, the oldest first: a point a minute, and one at each day's end."""
        return await self._database.run(
            lambda session: queries.equity(session, bot, since, until), write=False
        )

    async def order(self, bot: str, client_id: str) -> tuple[OrderRow, list[FillRow]] | None:
        """An order of the bot, of whatever run, with its fills, the oldest first."""
        return await self._database.run(lambda session: queries.order(session, bot, client_id), write=False)

    async def last_inputs(self, bot: str, run: int, kinds: Iterable[str]) -> dict[str, InputRow]:
        """The newest input of each of these kinds, where there is one."""
        return await self._database.run(
            lambda session: queries.last_inputs(session, bot, run, kinds), write=False
        )

    async def changes_since(self, bot: str, commit: int) -> Changes:
        """What was stored after a commit: for a reader who missed messages."""
        return await self._database.run(
            lambda session: queries.changes_since(session, bot, commit), write=False
        )

    async def run_of(self, bot: str, run: int | None = None) -> BotRun:
        """A run (the current one) with its manifest."""
        return await self._database.run(lambda session: queries.run_of(session, bot, run), write=False)


async def _register(session: Session, identity: BotIdentity, now: int) -> Registration:
    sqlite = session.sqlite
    who = (identity.name, identity.mode, identity.venue, identity.account, identity.currency)
    added = await session.rows(statements_for(sqlite).add_bot, *who, now)
    if not added:
        return await _registration(session, identity, fresh=False)
    bot_id = added[0][0]
    await session.rows(statements_for(sqlite).begin_controls, bot_id)
    await session.rows(
        positional("INSERT INTO leases (bot, holder, token, expires) VALUES (?, '', 0, 0)", sqlite), bot_id
    )
    await _add_run(session, bot_id, 1, identity, now)
    return await _registration(session, identity, fresh=True)


async def _add_run(session: Session, bot_id: int, run: int, identity: BotIdentity, now: int) -> None:
    digests = (identity.code_digest, identity.manifest_digest, codec.dump(identity.manifest))
    await session.rows(statements_for(session.sqlite).add_run, bot_id, run, now, *digests)


async def _registration(session: Session, identity: BotIdentity, fresh: bool) -> Registration:
    query = (
        "SELECT id, mode, venue, account, currency, run, commits, code_digest, manifest_digest"
        " FROM bots JOIN bot_runs ON bot = id AND number = run WHERE name = ?"
    )
    found = await session.rows(positional(query, session.sqlite), identity.name)
    if not found:
        raise BadInputError(
            f"bot {identity.name!r}: the journal knows a bot of this name, with another account, which this "
            "login may not see; give this one another name"
        )
    bot_id, *who, run, commits, code, manifest = found[0]
    named = ("mode", "venue", "account", "currency")
    for what, stored in zip(named, who, strict=True):
        given = getattr(identity, what)
        if stored != given:
            raise BadInputError(
                f"bot {identity.name!r}: {what} {given!r} does not fit: the journal knows a bot of this name "
                f"with {what} {stored!r}; give this one another name"
            )
    return Registration(bot_id, identity.name, run, fresh, code, manifest, commits)


async def _end_run(session: Session, lease: Lease, now: int, reason: str) -> None:
    query = (
        "UPDATE bot_runs SET ended = ?, reason = ?"
        " WHERE bot = ? AND number = (SELECT run FROM bots WHERE id = ?)"
    )
    await session.rows(positional(query, session.sqlite), now, reason, lease.bot_id, lease.bot_id)


async def _require_lease(session: Session, lease: Lease) -> None:
    """Refuse to go on without the lease, and keep it to the end of the transaction."""
    lock = "" if session.sqlite else " FOR UPDATE"
    query = f"SELECT token FROM leases WHERE bot = ? AND token = ? AND holder = ?{lock}"
    if not await session.rows(positional(query, session.sqlite), lease.bot_id, lease.token, lease.holder):
        raise await lease_lost(session, lease)
