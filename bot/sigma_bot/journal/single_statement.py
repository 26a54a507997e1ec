"""A change as one statement of PostgreSQL: one round trip, where `commit.write` takes one for each table.

The statement stores everything or nothing. It stores nothing when the lease does not stand, when the number
of the last commit is not the one that the caller knows, or when a row contradicts a stored one. It does not
say which: `commit.write` then does, or finds that the change can be stored after all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sigma_bot.journal import rows
from sigma_bot.journal.commit import Admit
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.rows import SQL_TYPES, TableMapping
from sigma_bot.journal.statements import LEGAL, NOW, replaced
from sigma_bot.model.orders import Change

_SCOPE = (
    "CASE head.mode WHEN 'live' THEN head.venue || '/' || head.account ELSE head.id || '#' || head.run END"
)
_HEAD = 7
"""Parameters that every change has."""


@dataclass(frozen=True)
class _TableWrite:
    """What a change writes to one table. ``own``: columns that the record does not have, with their values;
    ``unless``: finds rows that contradict stored ones; ``again``: what happens to a row that is there.

    What is stored is asked for by a subquery for each new row, which reaches it by its key. Of a join, a plan
    made while the table was empty reads the bot's whole past at every commit; and under row security a scope
    computed in the join itself finds no index, so every fill of every account is read.
    """

    mapping: TableMapping[Any]
    own: tuple[tuple[str, str], ...] = ()
    unless: str = ""
    again: str = ""


_TABLE_WRITES = (
    _TableWrite(
        rows.ORDERS,
        unless="SELECT FROM new_orders WHERE (SELECT orders.state <> new_orders.state"
        f" AND orders.state || '>' || new_orders.state NOT IN ({LEGAL})"
        " FROM orders WHERE orders.bot = $1 AND orders.client_id = new_orders.client_id)",
        again=" ON CONFLICT (bot, client_id) DO UPDATE SET "
        + replaced(("commit_no", *(name for name in rows.ORDERS.names if name != "client_id"))),
    ),
    _TableWrite(
        rows.FILLS,
        own=(("scope", _SCOPE),),
        unless="SELECT FROM new_fills WHERE (SELECT true FROM fills"
        f" WHERE fills.scope = (SELECT {_SCOPE} FROM bots AS head WHERE head.id = $1)"
        " AND fills.symbol = new_fills.symbol AND fills.trade_id = new_fills.trade_id"
        " AND fills.side = new_fills.side LIMIT 1)",
    ),
    _TableWrite(rows.INPUTS),
    _TableWrite(rows.NOTICES, own=(("place", "given.place - 1"),)),
    _TableWrite(rows.EQUITY, again=" ON CONFLICT DO NOTHING"),
)


def is_possible(change: Change, admit: Admit | None) -> bool:
    """Whether one statement can store it: nothing has to be asked on the way, no trade is told twice."""
    if admit is not None and change.usage is not None:
        return False
    trades = {(fill.symbol, fill.trade_id, fill.side) for fill in change.fills}
    return len(trades) == len(change.fills)


def build(lease: Lease, last: int, change: Change) -> tuple[str, list[Any]]:
    """Text and values of the statement that makes ``change`` the commit after ``last``; it returns the number
    of the commit, or no row."""
    orders = list({order.client_id: order for order in change.orders}.values())  # the last word counts
    kept = change.state is not None
    values = [lease.bot_id, lease.token, lease.holder, last, int(kept), change.tick, change.ts]
    listed: tuple[list[Any], ...] = (orders, change.fills, change.inputs, change.notices, change.equity)
    tables = []
    for table, records in zip(_TABLE_WRITES, listed, strict=True):
        if records:
            tables.append(table)
            values += map(list, zip(*table.mapping.rows(records, sqlite=False), strict=True))
    if kept:
        values += (change.code_digest, change.state)
    if change.usage is not None:
        values += rows.USAGE.rows([change.usage], sqlite=False)[0]
    return _text(tuple(tables), kept, change.usage is not None), values


@cache
def _text(tables: tuple[_TableWrite, ...], kept: bool, used_account: bool) -> str:
    """For changes that write these tables, a state (``kept``), a use of the account (``used_account``)."""
    given, used = [], _HEAD
    for table in tables:
        given.append(_new_rows(table.mapping, used))
        used += len(table.mapping.names)
    held = (
        "held AS (SELECT bot FROM leases WHERE bot = $1 AND token = $2 AND holder = $3"
        f" AND expires > {NOW[False]} FOR UPDATE)"
    )
    head = (
        "head AS (UPDATE bots SET commits = commits + 1, checkpoints = checkpoints + $5, tick = $6, ts = $7"
        " WHERE id IN (SELECT bot FROM held) AND commits = $4"
        + "".join(f" AND NOT EXISTS ({table.unless})" for table in tables if table.unless)
        + " RETURNING id, commits, run, checkpoints, mode, venue, account)"
    )
    writes = [_insert(table) for table in tables]
    if kept:
        writes.append(_upsert_checkpoint(used))
        used += 2
    if used_account:
        writes.append(_upsert_usage(used))
    return f"WITH {', '.join((held, *given, head, *writes))} SELECT commits FROM head"


def _new_rows(mapping: TableMapping[Any], used: int) -> str:
    """The rows of one table, numbered as they were told."""
    numbered = enumerate(mapping.annotations, used + 1)
    arrays = ", ".join(f"${number}::{SQL_TYPES[annotation]}[]" for number, annotation in numbered)
    names = ", ".join((*mapping.names, "place"))
    return f"new_{mapping.table} AS (SELECT * FROM unnest({arrays}) WITH ORDINALITY AS given ({names}))"


def _insert(write: _TableWrite) -> str:
    table, recorded = write.mapping.table, write.mapping.names
    names = ", ".join((*(name for name, _ in write.own), *recorded))
    values = ", ".join((*(value for _, value in write.own), *(f"given.{name}" for name in recorded)))
    return (
        f"put_{table} AS (INSERT INTO {table} (bot, run, commit_no, {names})"
        f" SELECT head.id, head.run, head.commits, {values}"
        f" FROM head CROSS JOIN new_{table} AS given{write.again})"
    )


def _upsert_checkpoint(used: int) -> str:
    names = ("run", "commit_no", "tick", "ts", "code_digest", "state")
    return (
        f"put_checkpoint AS (INSERT INTO checkpoints (bot, slot, {', '.join(names)})"
        f" SELECT head.id, head.checkpoints % 2, head.run, head.commits, $6, $7, ${used + 1}, ${used + 2}"
        f" FROM head ON CONFLICT (bot, slot) DO UPDATE SET {replaced(names)})"
    )


def _upsert_usage(used: int) -> str:
    names = ("commit_no", *rows.USAGE.names)
    numbered = enumerate(rows.USAGE.annotations, used + 1)
    values = ", ".join(f"${number}::{SQL_TYPES[annotation]}" for number, annotation in numbered)
    return (
        f"put_usage AS (INSERT INTO account_usage (bot, {', '.join(names)})"
        f" SELECT head.id, head.commits, {values} FROM head"
        f" ON CONFLICT (bot) DO UPDATE SET {replaced(names)})"
    )
