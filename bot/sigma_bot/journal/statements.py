"""The journal's statements as text, for each database. Built once per process; nothing else knows SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sigma_bot.journal.rows import EQUITY, FILLS, INPUTS, NOTICES, ORDERS, SQL_TYPES, USAGE, TableMapping
from sigma_bot.model.orders import LIVING, TRANSITIONS

NOW = {
    True: "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000000",
    False: "CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS bigint)",
}
"""Nanoseconds since 1970 by the database's clock: on SQLite (True), on PostgreSQL."""
LIVING_STATES = ", ".join(f"'{state}'" for state in sorted(LIVING))
LEGAL = ", ".join(f"'{old}>{new}'" for old in TRANSITIONS for new in sorted(TRANSITIONS[old]))


@dataclass(frozen=True)
class Statements:
    """The statements of one database, parameters by position."""

    add_bot: str
    begin_controls: str
    add_run: str
    acquire: str
    renew: str
    fence: str
    orders: str
    fills: str
    inputs: str
    notices: str
    equity: str
    checkpoint: str
    usage: str


@cache
def statements_for(sqlite: bool) -> Statements:
    """The statements for SQLite (``sqlite``) or PostgreSQL."""
    now = NOW[sqlite]
    return Statements(
        add_bot=positional(
            "INSERT INTO bots (name, mode, venue, account, currency, created, run, commits, checkpoints,"
            " tick, ts, controls_from) VALUES (?, ?, ?, ?, ?, ?, 1, 0, 0, 0, 0, 0)"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            sqlite,
        ),
        # Of its own: under row security a bot sees its account's controls once it is there itself.
        begin_controls=positional(
            "UPDATE bots SET controls_from = (SELECT COALESCE(MAX(id), 0) FROM controls) WHERE id = ?", sqlite
        ),
        add_run=positional(
            "INSERT INTO bot_runs (bot, number, started, code_digest, manifest_digest, manifest, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, '')",
            sqlite,
        ),
        acquire=positional(
            f"UPDATE leases SET holder = ?, token = token + 1, expires = {now} + ?"
            f" WHERE bot = ? AND (expires <= {now} OR holder = ?) RETURNING token",
            sqlite,
        ),
        renew=positional(
            f"UPDATE leases SET expires = {now} + ? WHERE bot = ? AND token = ? AND holder = ?"
            " RETURNING token",
            sqlite,
        ),
        fence=_fence(now, sqlite),
        orders=_orders(sqlite),
        fills=_insert(FILLS, ("scope",), sqlite) + " ON CONFLICT DO NOTHING RETURNING trade_id",
        inputs=_insert(INPUTS, (), sqlite),
        notices=_insert(NOTICES, ("place",), sqlite),
        equity=_insert(EQUITY, (), sqlite) + " ON CONFLICT DO NOTHING",
        checkpoint=_upsert(
            "checkpoints",
            ("bot", "slot", "run", "commit_no", "tick", "ts", "code_digest", "state"),
            2,
            sqlite,
        ),
        usage=_upsert("account_usage", ("bot", "commit_no", *USAGE.names), 1, sqlite),
    )


def positional(statement: str, sqlite: bool) -> str:
    """``?`` as the database numbers its parameters: ``$1``, ``$2`` ... on PostgreSQL."""
    if sqlite:
        return statement
    head, *rest = statement.split("?")
    return head + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def _fence(now: str, sqlite: bool) -> str:
    """Raise the commit number if the lease (bot, token, holder) still stands; no row if it does not.

    On PostgreSQL the lease's row is locked to the end, so nobody acquires between this and the commit; on
    SQLite the transaction has the whole file.
    """
    held = f"SELECT bot FROM leases WHERE bot = ? AND token = ? AND holder = ? AND expires > {now}"
    lock = "" if sqlite else " FOR UPDATE"
    return positional(
        f"WITH held AS ({held}{lock}) UPDATE bots SET commits = commits + 1, checkpoints = checkpoints + ?,"
        " tick = ?, ts = ? WHERE id IN (SELECT bot FROM held)"
        " RETURNING commits, run, checkpoints, mode, venue, account",
        sqlite,
    )


def _orders(sqlite: bool) -> str:
    """Whole rows, new or changed. A row whose state cannot follow on the stored one is not returned."""
    changed = replaced(("commit_no", *(name for name in ORDERS.names if name != "client_id")))
    return (
        _insert(ORDERS, (), sqlite)
        + f" ON CONFLICT (bot, client_id) DO UPDATE SET {changed}"
        + " WHERE orders.state = excluded.state"
        + f" OR orders.state || '>' || excluded.state IN ({LEGAL}) RETURNING client_id"
    )


def _insert(mapping: TableMapping[Any], own: tuple[str, ...], sqlite: bool) -> str:
    """Insert rows of a record. SQLite takes one row at a time; PostgreSQL takes bot, run and commit number,
    then an array for each further column.
    """
    listed = ", ".join(("bot", "run", "commit_no", *own, *mapping.names))
    if sqlite:
        marks = ", ".join("?" * (3 + len(own) + len(mapping.names)))
        return f"INSERT INTO {mapping.table} ({listed}) VALUES ({marks})"
    kinds = [_OWN[name] for name in own] + [SQL_TYPES[annotation] for annotation in mapping.annotations]
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, 4))
    names = ", ".join((*own, *mapping.names))
    return (
        f"INSERT INTO {mapping.table} ({listed}) SELECT $1::bigint, $2::bigint, $3::bigint, {names}"
        f" FROM unnest({arrays}) AS given ({names})"
    )


_OWN = {"scope": "text", "place": "bigint"}


def _upsert(table: str, names: tuple[str, ...], keys: int, sqlite: bool) -> str:
    listed, marks = ", ".join(names), ", ".join("?" * len(names))
    key = ", ".join(names[:keys])
    return positional(
        f"INSERT INTO {table} ({listed}) VALUES ({marks})"
        f" ON CONFLICT ({key}) DO UPDATE SET {replaced(names[keys:])}",
        sqlite,
    )


def replaced(names: Iterable[str]) -> str:
    """The stored values of these columns, replaced by the given ones."""
    return ", ".join(f"{name} = excluded.{name}" for name in names)
