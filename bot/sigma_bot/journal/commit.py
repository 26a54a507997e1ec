"""One change written in one transaction: the fence, then a statement for each table it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sigma_bot.database.driver import Session
from sigma_bot.journal import rows
from sigma_bot.journal.errors import FillConflictError, IllegalTransitionError, JournalError, LeaseLostError
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.statements import positional, statements_for
from sigma_bot.model.orders import Change, FillRow, OrderRow, State, Usage

Admit = Callable[[list[Usage]], None]


async def write(session: Session, lease: Lease, change: Change, admit: Admit | None) -> int:
    """Store ``change`` if the lease still stands; the number of the commit."""
    sqlite, sql = session.sqlite, statements_for(session.sqlite)
    kept = 0 if change.state is None else 1
    found = await session.rows(
        sql.fence, lease.bot_id, lease.token, lease.holder, kept, change.tick, change.ts
    )
    if not found:
        raise await lease_lost(session, lease)
    number, run, checkpoints, mode, venue, account = found[0]
    if admit is not None and change.usage is not None:
        admit(await _usage_of_others(session, lease.bot_id, mode, venue, account))
    head = (lease.bot_id, run, number)
    if change.orders:
        await _orders(session, head, change.orders)
    if change.fills:
        scope = f"{venue}/{account}" if mode == "live" else f"{lease.bot_id}#{run}"
        await _fills(session, head, scope, change.fills)
    if change.inputs:
        await session.insert(sql.inputs, head, rows.INPUTS.rows(change.inputs, sqlite))
    if change.notices:
        placed = [[place, *row] for place, row in enumerate(rows.NOTICES.rows(change.notices, sqlite))]
        await session.insert(sql.notices, head, placed)
    if change.equity:
        await session.insert(sql.equity, head, rows.EQUITY.rows(change.equity, sqlite))
    if change.state is not None:
        place = (lease.bot_id, checkpoints % 2, run, number)
        await session.rows(sql.checkpoint, *place, change.tick, change.ts, change.code_digest, change.state)
    if change.usage is not None:
        [used] = rows.USAGE.rows([change.usage], sqlite)
        await session.rows(sql.usage, lease.bot_id, number, *used)
    return int(number)


async def was_stored(session: Session, lease: Lease, number: int) -> bool:
    """Whether commit ``number``, whose answer was lost, is stored. Waits for the lost one to end."""
    lock = "" if session.sqlite else " FOR UPDATE OF leases"
    query = f"SELECT token, commits FROM bots JOIN leases ON bot = id WHERE id = ?{lock}"
    found = await session.rows(positional(query, session.sqlite), lease.bot_id)
    if not found or found[0][0] != lease.token:
        raise await lease_lost(session, lease)
    return bool(found[0][1] >= number)


async def lease_lost(session: Session, lease: Lease) -> LeaseLostError:
    """The error of a lease that does not stand any more."""
    query = positional("SELECT holder, token FROM leases WHERE bot = ?", session.sqlite)
    found = await session.rows(query, lease.bot_id)
    if not found:
        return LeaseLostError(f"bot {lease.bot!r} belongs to another login now; nothing was stored")
    holder, token = found[0]
    if token == lease.token:
        how = "ended" if holder else "was given back"
    else:
        how = f"went to {holder or 'another process'} (token {token}, ours {lease.token})"
    return LeaseLostError(f"the lease of bot {lease.bot!r} {how}; nothing was stored")


async def _usage_of_others(session: Session, bot: int, mode: str, venue: str, account: str) -> list[Usage]:
    """What the account's other bots use; until the commit no other can store a use of this account."""
    if not session.sqlite:
        # A lock of its own statement: the next one then sees what the bot before us has committed.
        await session.rows(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"sigma:{mode}/{venue}/{account}"
        )
    listed = ", ".join(rows.USAGE.names)
    query = (
        f"SELECT {listed} FROM account_usage JOIN bots ON id = bot"
        " WHERE mode = ? AND venue = ? AND account = ? AND id <> ? ORDER BY id"
    )
    return rows.USAGE.records(
        await session.rows(positional(query, session.sqlite), mode, venue, account, bot)
    )


async def _orders(session: Session, head: Sequence[int], orders: list[OrderRow]) -> None:
    last = {order.client_id: order for order in orders}  # told twice in one step: the last word counts
    given = rows.ORDERS.rows(last.values(), session.sqlite)
    stored = await session.insert(statements_for(session.sqlite).orders, head, given)
    if len(stored) == len(last):
        return
    for client_id in last.keys() - {row[0] for row in stored}:
        query = positional("SELECT state FROM orders WHERE bot = ? AND client_id = ?", session.sqlite)
        [(state,)] = await session.rows(query, head[0], client_id)
        raise IllegalTransitionError(client_id, State(state), last[client_id].state)


async def _fills(session: Session, head: Sequence[int], scope: str, fills: list[FillRow]) -> None:
    given = [[scope, *row] for row in rows.FILLS.rows(fills, session.sqlite)]
    stored = await session.insert(statements_for(session.sqlite).fills, head, given)
    if len(stored) == len(fills):
        return
    listed = ", ".join(rows.FILLS.names)
    query = f"SELECT {listed} FROM fills WHERE scope = ? AND symbol = ? AND trade_id = ? AND side = ?"
    for fill in fills:
        key = (scope, fill.symbol, fill.trade_id, fill.side)
        found = rows.FILLS.records(await session.rows(positional(query, session.sqlite), *key))
        if not found:
            raise JournalError(f"fill {fill.trade_id} of {fill.symbol}: neither new nor stored")
        if _facts(found[0]) != _facts(fill):
            raise FillConflictError(
                f"trade {fill.trade_id} of {fill.symbol} is stored as {found[0]}, and now told as {fill}; "
                "nothing was stored"
            )


def _facts(fill: FillRow) -> tuple[object, ...]:
    """What two reports of one trade must agree on. A venue's ways of telling differ in the time's digits and
    in what they leave out, and what was made of it (realized) depends on when it came.
    """
    return (fill.client_id, fill.order_id, fill.price, fill.quantity, fill.fee, fill.fee_currency)
