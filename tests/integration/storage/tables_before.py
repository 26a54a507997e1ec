"""Databases as earlier versions left them: their tables, and rows with the words that they had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from sigma_bot.database import engine as databases
from sigma_bot.database.urls import parse_address
from sigma_bot.schema import migrate

NOW = 1_790_000_000_000_000_000
STATES = {
    "intent": "intent", "unknown": "unknown", "open": "open", "partial": "partial", "filled": "filled",
    "cancelled": "cancelled", "expired": "expired", "refused": "rejected", "absent": "not_found",
    "parked": "needs_review",
}  # fmt: skip
"""States of orders up to tables 0004, and what they are called since."""
ORDER = (
    "INSERT INTO orders (bot, run, commit_no, client_id, order_id, leg, symbol, side, kind, tif, quantity,"
    " limit_price, stop_price, post_only, reduce_only, state, created, updated, filled, venue_id, reason,"
    " token, tick) VALUES ({bot}, 1, 1, 'sx-{bot}-{number}', {number}, 3, 'KRW-BTC', 'buy', 'limit', 'gtc',"
    " {quantity}, {price}, NULL, false, true, '{state}', {ts}, {ts}, {zero}, NULL, 'why', 1, 7)"
)
"""An order as versions up to tables 0004 wrote it."""


def order(sqlite: bool, bot: int, number: int, state: str) -> str:
    """The statement. SQLite holds decimals as text."""
    quantity, price, zero = (f"'{digits}'" if sqlite else digits for digits in ("0.10", "91234000.00", "0"))
    return ORDER.format(
        bot=bot, number=number, state=state, quantity=quantity, price=price, zero=zero, ts=NOW + number
    )


def rows(sqlite: bool, *names: str) -> list[str]:
    """A LIVE bot of each name, and the account of the same: an order in every state, a fill, notices."""
    out = []
    money = "'1.5'" if sqlite else "1.5"
    for bot, name in enumerate(names, 1):
        account = name.rpartition("/")[2]
        out += [
            "INSERT INTO bots (name, mode, venue, account, currency, created, run, commits, checkpoints,"
            f" tick, ts, controls_from) VALUES ('{name}', 'live', 'upbit', '{account}', 'KRW', {NOW}, 1, 1,"
            f" 0, 7, {NOW}, 0)",
            "INSERT INTO bot_runs (bot, number, started, code_digest, manifest_digest, manifest, reason)"
            f" VALUES ({bot}, 1, {NOW}, 'code-1', 'manifest-1', '{{}}', '')",
            f"INSERT INTO leases (bot, holder, token, expires) VALUES ({bot}, '', 3, 0)",
            *(order(sqlite, bot, number, state) for number, state in enumerate(STATES, 1)),
            "INSERT INTO fills (bot, run, commit_no, scope, trade_id, client_id, order_id, symbol, side,"
            " price, quantity, fee, fee_currency, maker, ts, notional, realized) VALUES"
            f" ({bot}, 1, 1, 'upbit/{account}', 't1', 'sx-{bot}-5', 5, 'KRW-BTC', 'buy', {money}, {money},"
            f" {money}, 'KRW', true, {NOW}, {money}, {money})",
        ]
        for place, code in enumerate(("parked", "overfill")):
            out.append(
                "INSERT INTO notices (bot, run, commit_no, place, kind, code, text, ts, order_id, symbol)"
                f" VALUES ({bot}, 1, 1, {place}, 'alert', '{code}', 'look', {NOW - bot}, 1, '')"
            )
    return out


async def migrate_to(url: str, revision: str, *statements: str) -> None:
    """Bring a database to the tables of an earlier version, and run statements on them."""
    await _migrate(url, "upgrade", revision, statements)


async def migrate_back(url: str, revision: str) -> None:
    """Take migrations back."""
    await _migrate(url, "downgrade", revision, ())


async def _migrate(url: str, way: str, revision: str, statements: Sequence[str]) -> None:
    def work(connection: sa.Connection) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        getattr(command, way)(config, revision)
        for statement in statements:
            connection.exec_driver_sql(statement)

    where = parse_address(url)
    database = await databases.Database.connect(url, create=True, lock_timeout=10)
    try:
        if where.path is not None:
            await database.run(migrate._use_wal, databases.NO_TRANSACTION)
        await database.run(work, databases.WRITE)
    finally:
        await database.close()
