"""One change written in one transaction: the fence, then a statement for each table it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sigma_bot.database.driver import Session
from sigma_bot.journal import rows
from sigma_bot.journal.errors import FillConflictError, IllegalTransitionError, JournalError, LeaseLostError
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.statements import marked, texts
from sigma_bot.model.orders import Change, FillRow, OrderRow, State, Usage

Admit = Callable[[list[Usage]], None]


async def write(session: Session, lease: Lease, change: Change, admit: Admit | None) -> int:
    """Store ``change`` if the lease still stands; the number of the commit."""
    lite, sql = session.lite, texts(session.lite)
    kept = 0 if change.state is None else 1
    found = await session.rows(
        sql.fence, lease.bot_id, lease.token, lease.holder, kept, change.tick, change.ts
    )
    if not found:
        raise await lost(session, lease)
    number, run, checkpoints, mode, venue, account = found[0]
    if admit is not None and change.usage is not None:
        admit(await _others(session, lease.bot_id, mode, venue, account))
    head = (lease.bot_id, run, number)
    if change.orders:
        await _orders(session, head, change.orders)
    if change.fills:
        scope = f"{venue}/{account}" if mode == "live" else f"{lease.bot_id}#{run}"
        await _fills(session, head, scope, change.fills)
    if change.inputs:
        await session.insert(sql.inputs, head, rows.INPUTS.rows(change.inputs, lite))
    if change.notices:
        placed = [[place, *row] for place, row in enumerate(rows.NOTICES.rows(change.notices, lite))]
        await session.insert(sql.notices, head, placed)
    if change.state is not None:
        place = (lease.bot_id, checkpoints % 2, run, number)
        await session.rows(sql.checkpoint, *place, change.tick, change.ts, change.code_digest, change.state)
    if change.usage is not None:
        [used] = rows.USAGE.rows([change.usage], lite)
        await session.rows(sql.usage, lease.bot_id, number, *used)
    return int(number)


async def settle(session: Session, lease: Lease, number: int) -> bool:
    """Whether commit ``number``, whose answer was lost, is stored. Waits for the lost one to end."""
    lock = "" if session.lite else " FOR UPDATE OF leases"
    query = f"SELECT token, commits FROM bots JOIN leases ON bot = id WHERE id = ?{lock}"
    found = await session.rows(marked(query, session.lite), lease.bot_id)
    if not found or found[0][0] != lease.token:
        raise await lost(session, lease)
    return bool(found[0][1] >= number)


async def lost(session: Session, lease: Lease) -> LeaseLostError:
    """The error of a lease that does not stand any more."""
    query = marked("SELECT holder, token FROM leases WHERE bot = ?", session.lite)
    found = await session.rows(query, lease.bot_id)
    if not found:
        return LeaseLostError(f"bot {lease.bot!r} belongs to another login now; nothing was stored")
    holder, token = found[0]
    if token == lease.token:
        how = "ended" if holder else "was given back"
    else:
        how = f"went to {holder or 'another process'} (token {token}, ours {lease.token})"
    return LeaseLostError(f"the lease of bot {lease.bot!r} {how}; nothing was stored")


async def _others(session: Session, bot: int, mode: str, venue: str, account: str) -> list[Usage]:
    """What the account's other bots use; until the commit no other can store a use of this account."""
    if not session.lite:
        # A lock of its own statement: the next one then sees what the bot before us has committed.
        await session.rows(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"sigma:{mode}/{venue}/{account}"
        )
    listed = ", ".join(rows.USAGE.names)
    query = (
        f"SELECT {listed} FROM account_usage JOIN bots ON id = bot"
        " WHERE mode = ? AND venue = ? AND account = ? AND id <> ? ORDER BY id"
    )
    return rows.USAGE.records(await session.rows(marked(query, session.lite), mode, venue, account, bot))


async def _orders(session: Session, head: Sequence[int], orders: list[OrderRow]) -> None:
    last = {order.client_id: order for order in orders}  # told twice in one step: the last word counts
    given = rows.ORDERS.rows(last.values(), session.lite)
    stored = await session.insert(texts(session.lite).orders, head, given)
    if len(stored) == len(last):
        return
    for client_id in last.keys() - {row[0] for row in stored}:
        query = marked("SELECT state FROM orders WHERE bot = ? AND client_id = ?", session.lite)
        [(state,)] = await session.rows(query, head[0], client_id)
        raise IllegalTransitionError(client_id, State(state), last[client_id].state)


async def _fills(session: Session, head: Sequence[int], scope: str, fills: list[FillRow]) -> None:
    given = [[scope, *row] for row in rows.FILLS.rows(fills, session.lite)]
    stored = await session.insert(texts(session.lite).fills, head, given)
    if len(stored) == len(fills):
        return
    listed = ", ".join(rows.FILLS.names)
    query = f"SELECT {listed} FROM fills WHERE scope = ? AND symbol = ? AND trade_id = ? AND side = ?"
    for fill in fills:
        key = (scope, fill.symbol, fill.trade_id, fill.side)
        found = rows.FILLS.records(await session.rows(marked(query, session.lite), *key))
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
