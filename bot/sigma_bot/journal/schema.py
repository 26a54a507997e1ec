"""The journal's tables. The columns of a record's table are those of its dataclass (`rows`), so they cannot
drift apart; a test holds the migration to them.

Every row of orders, fills, inputs, notices and checkpoints carries the number of the commit that wrote it.
Times are BIGINT nanoseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sigma_bot.database.columns import Exact, Key, metadata
from sigma_bot.journal import rows
from sigma_bot.model.orders import State

_TYPES: dict[str, Any] = {
    "text": Text,
    "bigint": BigInteger,
    "boolean": Boolean,
    "numeric": Exact,
    "json": JSON,
}


def _word(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _whole(name: str, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable)


def _bot(primary_key: bool = True) -> Column[Any]:
    return Column(
        "bot", Key, ForeignKey("bots.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False
    )


def _record(mapping: rows.TableMapping[Any], key: tuple[str, ...] = ()) -> list[Column[Any]]:
    """A column for each field of the record."""
    columns = []
    for name, annotation in zip(mapping.names, mapping.annotations, strict=True):
        kind = _TYPES[rows.SQL_TYPES[annotation]]
        options: dict[str, Any] = {"nullable": annotation.endswith("None"), "primary_key": name in key}
        columns.append(Column(name, kind, autoincrement=False, **options))
    return columns


_UNNUMBERED = text("number IS NULL")


def _one_of(name: str, column: str, *words: str) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=name)


bots = Table(
    "bots",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    *(_word(name) for name in ("mode", "venue", "account", "currency")),
    _whole("created"),
    _whole("run"),  # number of the current run
    _whole("commits"),  # number of the last commit
    _whole("checkpoints"),  # how many were written: the two kept lie in slots 0 and 1 by turns
    _whole("tick"),  # sequence number and time of the last tick committed
    _whole("ts"),
    _whole("controls_from"),  # controls up to this id were given before the bot existed
    _one_of("ck_bots_mode", "mode", "live", "sim"),
)
bot_runs = Table(
    "bot_runs",
    metadata,
    _bot(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _whole("started"),
    _word("code_digest"),
    _word("manifest_digest"),
    Column("manifest", JSON, nullable=False),
    _whole("first_tick", nullable=True),
    _whole("first_ts", nullable=True),
    _whole("ended", nullable=True),
    _word("reason"),
)
leases = Table(
    "leases",
    metadata,
    _bot(),
    _word("holder"),  # empty: released
    _whole("token"),  # rises with every acquisition, over releases too
    _whole("expires"),  # by the database's clock
    CheckConstraint("token >= 0", name="ck_leases_token"),
)
orders = Table(
    "orders",
    metadata,
    _bot(),
    _whole("run"),
    _whole("commit_no"),
    *_record(rows.ORDERS, ("client_id",)),
    _one_of("ck_orders_side", "side", "buy", "sell"),
    _one_of("ck_orders_state", "state", *State),
    Index("ix_orders_commit", "bot", "commit_no"),
    Index("ix_orders_state", "bot", "state"),
    Index("ix_orders_created", "created", "bot"),
    Index("ix_orders_bot_created", "bot", "created"),
    Index("ix_orders_state_created", "state", "created"),
)
fills = Table(
    "fills",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    _bot(primary_key=False),
    _whole("run"),
    _whole("commit_no"),
    _word("scope"),  # LIVE: venue and account; SIM: bot and run
    *_record(rows.FILLS),
    # A trade between two orders of one account has one id and two sides.
    UniqueConstraint("scope", "symbol", "trade_id", "side", name="uq_fills_trade"),
    _one_of("ck_fills_side", "side", "buy", "sell"),
    Index("ix_fills_commit", "bot", "commit_no"),
    Index("ix_fills_bot", "bot", "id"),
    Index("ix_fills_ts", "ts", "id"),
)
inputs = Table(
    "inputs",
    metadata,
    _bot(),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    _whole("commit_no"),
    *_record(rows.INPUTS, ("number",)),
    Index("ix_inputs_commit", "bot", "commit_no"),
)
notices = Table(
    "notices",
    metadata,
    _bot(),
    _whole("run"),
    Column("commit_no", BigInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),  # within the commit: 0, 1, 2 ...
    *_record(rows.NOTICES),
    _whole("number", nullable=True),  # over all bots; given when the notice is first read by number
    Index("ix_notices_number", "number", unique=True),
    Index("ix_notices_unnumbered", "ts", sqlite_where=_UNNUMBERED, postgresql_where=_UNNUMBERED),
    Index("ix_notices_ts", "ts", "bot"),
    Index("ix_notices_bot_ts", "bot", "ts"),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    _bot(),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    _whole("run"),
    _whole("commit_no"),
    _whole("tick"),
    _whole("ts"),
    _word("code_digest"),
    _word("state"),
    CheckConstraint("slot IN (0, 1)", name="ck_checkpoints_slot"),
)
bot_equity = Table(
    "bot_equity",
    metadata,
    _bot(),
    Column("ts", BigInteger, primary_key=True, autoincrement=False),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    _whole("commit_no"),
    *_record(rows.EQUITY)[1:],  # all but ts
)
named_leases = Table(
    "named_leases",
    metadata,
    Column("name", Text, primary_key=True),
    _word("holder"),  # empty: released
    _whole("token"),  # rises with every acquisition, over releases too
    _whole("expires"),  # by the database's clock
    CheckConstraint("token >= 0", name="ck_named_leases_token"),
)
account_usage = Table("account_usage", metadata, _bot(), _whole("commit_no"), *_record(rows.USAGE))
controls = Table(
    "controls",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    _word("scope"),
    _word("name"),  # of the strategy or account; empty for all
    _word("action"),
    _word("reason"),
    _word("by"),
    _whole("ts"),
    _one_of("ck_controls_scope", "scope", "strategy", "account", "all"),
    _one_of("ck_controls_action", "action", "halt", "resume", "flatten"),
    Index("ix_controls_name", "scope", "name"),
)
controls_done = Table(
    "controls_done",
    metadata,
    _bot(),
    Column("control", Key, ForeignKey("controls.id", ondelete="CASCADE"), primary_key=True),
    _whole("ts"),
)
