"""What is read back from the journal, each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sigma_bot.database import codec
from sigma_bot.database.driver import Row, Session
from sigma_bot.errors import BadInputError
from sigma_bot.journal import controls, rows
from sigma_bot.journal.controls import bot_id
from sigma_bot.journal.filters import Filter, decode_cursor, encode_cursor
from sigma_bot.journal.statements import LIVING_STATES, NOW, positional
from sigma_bot.journal.types import BotRun, BotStatus, Changes, Page, ResumePoint, StoredRow
from sigma_bot.model.orders import EquityPoint, FillRow, InputRow, NoticeRow, OrderRow

R = TypeVar("R")

NEVER_TS = (1 << 63) - 1
RECENT_FILLS = 1000
"""Fills that a bot gets back at its start, besides those of orders that may still fill."""


async def load(session: Session, name: str) -> ResumePoint | None:
    """See `Journal.load`."""
    found = await _ask(session, "SELECT id, mode, run, commits FROM bots WHERE name = ?", name)
    if not found:
        return None
    bot, mode, run, commits = found[0]
    kept = await _ask(
        session,
        "SELECT state, code_digest, tick, ts FROM checkpoints WHERE bot = ? AND run = ?"
        " ORDER BY commit_no DESC LIMIT 1",
        bot,
        run,
    )
    state, code, tick, ts = kept[0] if kept else (None, "", 0, 0)
    [(inputs,)] = await _ask(
        session, "SELECT COALESCE(MAX(number), 0) FROM inputs WHERE bot = ? AND run = ?", bot, run
    )
    [(last_order,)] = await _ask(
        session, "SELECT COALESCE(MAX(order_id), 0) FROM orders WHERE bot = ? AND run = ?", bot, run
    )
    # A virtual account's orders end with its run; a venue's do not.
    mine = f"bot = ? AND state IN ({LIVING_STATES}) AND (run = ? OR ? = 'live')"
    orders = await _ask(
        session,
        f"SELECT {_names(rows.ORDERS)} FROM orders WHERE {mine} ORDER BY order_id, attempt, client_id",
        bot,
        run,
        mode,
    )
    used = await _ask(session, f"SELECT {_names(rows.USAGE)} FROM account_usage WHERE bot = ?", bot)
    return ResumePoint(
        run=run,
        commit=commits,
        state=state,
        code_digest=code,
        tick=tick,
        ts=ts,
        inputs=inputs,
        last_order=last_order,
        orders=rows.ORDERS.records(orders),
        fills=rows.FILLS.records(await _recent(session, bot, run, mode, mine)),
        usage=next(iter(rows.USAGE.records(used)), None),
    )


async def _recent(session: Session, bot: int, run: int, mode: str, living: str) -> Sequence[Row]:
    return await _ask(
        session,
        f"SELECT {_names(rows.FILLS)} FROM fills WHERE id IN"
        " (SELECT id FROM (SELECT id FROM fills WHERE bot = ? AND (run = ? OR ? = 'live')"
        f" ORDER BY id DESC LIMIT {RECENT_FILLS}) AS recent)"
        f" OR (bot = ? AND client_id IN (SELECT client_id FROM orders WHERE {living})) ORDER BY id",
        bot,
        run,
        mode,
        bot,
        bot,
        run,
        mode,
    )


@dataclass(frozen=True)
class _Listing(Generic[R]):
    """How a table is paged through: by ``key``, which no two rows share, downwards. ``ts`` is the column of
    ``since`` and ``until``."""

    mapping: rows.TableMapping[R]
    key: tuple[tuple[str, type], ...]
    ts: str = ""


_ORDERS = _Listing(
    rows.ORDERS,
    (("created", int), ("bot", int), ("order_id", int), ("attempt", int), ("client_id", str)),
    "created",
)
_FILLS = _Listing(rows.FILLS, (("id", int),), "ts")
_INPUTS = _Listing(rows.INPUTS, (("bot", int), ("run", int), ("number", int)))
_NOTICES = _Listing(rows.NOTICES, (("ts", int), ("bot", int), ("commit_no", int), ("place", int)), "ts")


async def orders(session: Session, chosen: Filter) -> Page[OrderRow]:
    """See `Journal.orders`."""
    return await _page(session, _ORDERS, chosen)


async def fills(session: Session, chosen: Filter) -> Page[FillRow]:
    """See `Journal.fills`."""
    return await _page(session, _FILLS, chosen)


async def inputs(session: Session, chosen: Filter) -> Page[InputRow]:
    """See `Journal.inputs`."""
    return await _page(session, _INPUTS, chosen)


async def notices(session: Session, chosen: Filter) -> Page[NoticeRow]:
    """See `Journal.notices`."""
    return await _page(session, _NOTICES, chosen)


async def equity(session: Session, bot: str, since: int, until: int | None) -> list[StoredRow[EquityPoint]]:
    """See `Journal.equity`."""
    values = (since, NEVER_TS if until is None else until)
    return await _entries(session, rows.EQUITY, bot, "t.ts >= ? AND t.ts < ?", values, "t.ts, t.run")


async def _page(session: Session, listing: _Listing[R], chosen: Filter) -> Page[R]:
    where, values = await _conditions(session, listing, chosen)
    mapping, key = listing.mapping, [f"t.{name}" for name, _ in listing.key]
    most = "" if chosen.limit is None else f" LIMIT {chosen.limit + 1}"
    found = await _ask(
        session,
        f"SELECT {', '.join(f't.{name}' for name in mapping.names)}, {', '.join(key)}, bots.name, t.run,"
        f" t.commit_no FROM {mapping.table} AS t JOIN bots ON t.bot = bots.id WHERE {where}"
        f" ORDER BY {', '.join(f'{name} DESC' for name in key)}{most}",
        *values,
    )
    listed = found[: chosen.limit]
    after = None
    if len(found) > len(listed):
        start = len(mapping.names)
        after = encode_cursor(mapping.table, chosen, tuple(listed[-1])[start : start + len(key)])
    return Page(_stored(mapping, listed), after)


async def _conditions(session: Session, listing: _Listing[Any], chosen: Filter) -> tuple[str, list[Any]]:
    """What a filter asks of a row, with the values. Raises BadInputError for one that the table can't
    answer."""
    table = listing.mapping.table
    for name, can in (
        ("symbol", "symbol" in listing.mapping.names),
        ("states", "state" in listing.mapping.names),
        ("since", bool(listing.ts)),
        ("until", bool(listing.ts)),
    ):
        if getattr(chosen, name) is not None and not can:
            raise BadInputError(f"{table} can't be filtered by {name}")
    asked: list[tuple[str, Any]] = []
    if chosen.bot is not None:
        asked.append(("t.bot = ?", await bot_id(session, chosen.bot)))
    if chosen.run is not None:
        asked.append(("t.run = ?", chosen.run))
    if chosen.symbol is not None:
        asked.append(("t.symbol = ?", chosen.symbol))
    if chosen.since is not None:
        asked.append((f"t.{listing.ts} >= ?", chosen.since))
    if chosen.until is not None:
        asked.append((f"t.{listing.ts} < ?", chosen.until))
    where, values = [text for text, _ in asked], [value for _, value in asked]
    if chosen.states is not None:
        where.append(f"t.state IN ({', '.join('?' * len(chosen.states))})" if chosen.states else "1 = 0")
        values += sorted(chosen.states)
    if chosen.after is not None:
        key = decode_cursor(table, chosen, [kind for _, kind in listing.key])
        columns, marks = ", ".join(f"t.{name}" for name, _ in listing.key), ", ".join("?" * len(key))
        where.append(f"({columns}) < ({marks})")
        values += key
    return " AND ".join(where) or "1 = 1", values


async def order(session: Session, bot: str, client_id: str) -> tuple[OrderRow, list[FillRow]] | None:
    """See `Journal.order`."""
    key = await bot_id(session, bot)
    mine = "WHERE bot = ? AND client_id = ?"
    found = await _ask(session, f"SELECT {_names(rows.ORDERS)} FROM orders {mine}", key, client_id)
    if not found:
        return None
    filled = await _ask(session, f"SELECT {_names(rows.FILLS)} FROM fills {mine} ORDER BY id", key, client_id)
    return rows.ORDERS.records(found)[0], rows.FILLS.records(filled)


async def last_inputs(session: Session, bot: str, run: int, kinds: Iterable[str]) -> dict[str, InputRow]:
    """See `Journal.last_inputs`."""
    key = await bot_id(session, bot)
    query = (
        f"SELECT {_names(rows.INPUTS)} FROM inputs WHERE bot = ? AND run = ? AND kind = ?"
        " ORDER BY number DESC LIMIT 1"
    )
    found = [row for kind in kinds for row in await _ask(session, query, key, run, kind)]
    return {row.kind: row for row in rows.INPUTS.records(found)}


async def changes_since(session: Session, bot: str, commit: int) -> Changes:
    """See `Journal.changes_since`."""
    # Read first: what is committed meanwhile is then told twice rather than never.
    [(last,)] = await _ask(session, "SELECT commits FROM bots WHERE id = ?", await bot_id(session, bot))

    async def since(mapping: rows.TableMapping[R], order: str) -> list[StoredRow[R]]:
        return await _entries(session, mapping, bot, "t.commit_no > ?", (commit,), order)

    return Changes(
        commit=last,
        orders=await since(rows.ORDERS, "t.commit_no, t.order_id, t.attempt"),
        fills=await since(rows.FILLS, "t.id"),
        inputs=await since(rows.INPUTS, "t.run, t.number"),
        notices=await since(rows.NOTICES, "t.commit_no, t.place"),
    )


async def run_of(session: Session, bot: str, run: int | None) -> BotRun:
    """See `Journal.run_of`."""
    key = await bot_id(session, bot)
    which = "run" if run is None else "?"
    query = (
        "SELECT name, number, started, code_digest, manifest_digest, manifest, first_tick, first_ts, ended,"
        f" reason FROM bot_runs JOIN bots ON bot = id WHERE id = ? AND number = {which}"
    )
    found = await _ask(session, query, key, *(() if run is None else (run,)))
    if not found:
        raise BadInputError(f"bot {bot!r} has no run {run}")
    row: list[Any] = list(found[0])
    row[5] = codec.load(row[5])
    return BotRun(*row)


async def bots(session: Session) -> list[BotStatus]:
    """See `Journal.bots`."""
    open_orders = f"(SELECT COUNT(*) FROM orders WHERE bot = bots.id AND state IN ({LIVING_STATES}))"
    query = (
        "SELECT bots.id, name, mode, venue, account, currency, run, started, commits, tick, ts,"
        f" expires > {NOW[session.sqlite]}, holder, expires, {open_orders}"
        " FROM bots JOIN leases ON leases.bot = bots.id"
        " JOIN bot_runs ON bot_runs.bot = bots.id AND number = run ORDER BY name"
    )
    told = []
    for bot, *rest in await _ask(session, query):
        rest[10] = bool(rest[10])
        standing: list[Any] = [*rest, (await controls.in_force_for(session, bot)).halts]
        told.append(BotStatus(*standing))
    return told


async def _entries(
    session: Session, mapping: rows.TableMapping[R], bot: str, only: str, values: Sequence[Any], order: str
) -> list[StoredRow[R]]:
    """Every record of a bot for which ``only`` holds."""
    found = await _ask(
        session,
        f"SELECT {', '.join(f't.{name}' for name in mapping.names)}, bots.name, t.run, t.commit_no"
        f" FROM {mapping.table} AS t JOIN bots ON t.bot = bots.id"
        f" WHERE t.bot = ? AND {only} ORDER BY {order}",
        await bot_id(session, bot),
        *values,
    )
    return _stored(mapping, found)


def _stored(mapping: rows.TableMapping[R], found: Sequence[Row]) -> list[StoredRow[R]]:
    """Records with whose they are: the last three values of each row."""
    records = mapping.records(found)
    whose: list[tuple[str, int, int]] = [tuple(row)[-3:] for row in found]
    return [StoredRow(*who, record) for who, record in zip(whose, records, strict=True)]


def _names(mapping: rows.TableMapping[Any]) -> str:
    return ", ".join(mapping.names)


async def _ask(session: Session, query: str, *values: Any) -> Sequence[Row]:
    return await session.rows(positional(query, session.sqlite), *values)
