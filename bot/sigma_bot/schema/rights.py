"""Who may do what with the tables in PostgreSQL, given anew by their owner after every migration.

`RIGHTS` names every table; one that it does not name is nobody's but its owner's, and a test fails. Roles
that are not there are passed over: a database of one's own has one login that owns everything. What a bot may
do with a row is decided by row security, which the migrations set up.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from sigma_bot.database.revision import VERSION_TABLE

BOTS = "sigma_bot"
"""The group of the accounts' logins. In an older installation it is a login that all bots share."""
GRANTER = "sigma_granter"
"""Makes the accounts' logins (`sigma_bot.schema.granting`)."""
CONTROL = "sigma_control"
"""People: reads everything, halts and resumes anything, imports market data."""
BACKTEST = "sigma_backtest"
READER = "sigma_reader"
ROLES = (BOTS, GRANTER, CONTROL, BACKTEST, READER)

Verbs = tuple[str, ...]
"""As GRANT takes them; columns in brackets where not the whole table is meant."""
_READ: Verbs = ("SELECT",)
_ADD: Verbs = ("SELECT", "INSERT")
_PEOPLE: dict[str, Verbs] = {CONTROL: _READ, READER: _READ}
_OF_RUNS: dict[str, Verbs] = {BACKTEST: _ADD, **_PEOPLE}
_OF_MARKETS: dict[str, Verbs] = {BACKTEST: _READ, CONTROL: (*_ADD, "DELETE"), READER: _READ}


def _changing(*columns: str) -> Verbs:
    """A bot's rights to rows of its own of which these columns change. UPDATE of columns and not of tables:
    who may update a table may lock it against everybody.
    """
    return (*_ADD, f"UPDATE ({', '.join(columns)})")


RIGHTS: dict[str, dict[str, Verbs]] = {
    VERSION_TABLE: dict.fromkeys(ROLES, _READ),
    # the journal
    "bots": {
        # Who a bot is never changes.
        BOTS: _changing("run", "commits", "checkpoints", "tick", "ts", "controls_from"),
        GRANTER: ("SELECT (name, mode, venue, account, owner)", "UPDATE (owner)"),
        **_PEOPLE,
    },
    "bot_runs": {
        BOTS: _changing(
            "code_digest", "manifest_digest", "manifest", "first_tick", "first_ts", "ended", "reason"
        ),
        **_PEOPLE,
    },
    "leases": {BOTS: _changing("holder", "token", "expires"), **_PEOPLE},
    "orders": {
        BOTS: _changing(
            "commit_no", "order_id", "attempt", "symbol", "side", "order_type", "tif", "quantity",
            "limit_price", "stop_price", "post_only", "reduce_only", "state", "created", "updated", "filled",
            "venue_id", "reason", "token", "tick",
        ),
        **_PEOPLE,
    },
    "checkpoints": {
        BOTS: _changing("run", "commit_no", "tick", "ts", "code_digest", "state"),
        **_PEOPLE,
    },
    "account_usage": {
        BOTS: _changing(
            "commit_no", "exposure", "open_orders", "day", "day_loss", "minute", "minute_orders"
        ),
        **_PEOPLE,
    },
    "fills": {BOTS: _ADD, **_PEOPLE},
    "inputs": {BOTS: _ADD, **_PEOPLE},
    "notices": {BOTS: _ADD, **_PEOPLE},
    "bot_equity": {BOTS: _ADD, **_PEOPLE},
    "controls": {BOTS: _ADD, CONTROL: _ADD, READER: _READ},
    "controls_done": {BOTS: _ADD, **_PEOPLE},
    "named_leases": _PEOPLE,
    # the catalogue
    "market_files": _OF_MARKETS,
    "market_pieces": _OF_MARKETS,
    # results of backtests
    "runs": _OF_RUNS,
    "run_orders": _OF_RUNS,
    "run_fills": _OF_RUNS,
    "run_trades": _OF_RUNS,
    "run_equity": _OF_RUNS,
    "run_rejections": _OF_RUNS,
    "run_trials": _OF_RUNS,
}  # fmt: skip
"""By table and role. A role that is not named may do nothing."""

SEQUENCES: dict[str, Verbs] = {
    "bots_id_seq": (BOTS,),
    "fills_id_seq": (BOTS,),
    "controls_id_seq": (BOTS, CONTROL),
    "market_files_id_seq": (CONTROL,),
    "runs_pk_seq": (BACKTEST,),
}
"""Who may count with it: who adds rows to its table."""

SECURED = (
    "bots", "bot_runs", "leases", "orders", "fills", "inputs", "notices", "checkpoints", "account_usage",
    "bot_equity", "controls", "controls_done",
)  # fmt: skip
"""Tables under row security, of which a login sees its own rows only."""
EVERY_ROW = {GRANTER: ("bots",), CONTROL: SECURED, READER: SECURED}
"""Roles that meet every row of these tables all the same."""


def grant(connection: sa.Connection) -> None:
    """Give each role what it needs and take away what it does not."""
    query = sa.text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
    there = set(connection.execute(query, {"names": list(ROLES)}).scalars())
    for statement in statements(there):
        connection.exec_driver_sql(statement)


def statements(there: Iterable[str]) -> list[str]:
    """The statements that give these roles their rights, to be run in one transaction: bots are at work."""
    out = []
    for role in sorted(there):
        out += [f"REVOKE ALL ON ALL {what} IN SCHEMA public FROM {role}" for what in ("TABLES", "SEQUENCES")]
        for table, rights in RIGHTS.items():
            if role in rights:
                out.append(f"GRANT {', '.join(rights[role])} ON {table} TO {role}")
        out += [f"GRANT USAGE ON SEQUENCE {name} TO {role}" for name, who in SEQUENCES.items() if role in who]
        for table in EVERY_ROW.get(role, ()):
            out.append(f"DROP POLICY IF EXISTS {role} ON {table}")
            out.append(f"CREATE POLICY {role} ON {table} TO {role} USING (true)")
    return out
