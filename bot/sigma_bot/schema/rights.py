"""Who may do what with the tables in PostgreSQL, given anew by their owner after every migration.

Roles that are not there are passed over: a database of one's own has one login that owns everything. What a
bot may do with a row is decided by row security, which the migrations set up.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

import sigma_bot.data.schema as market
import sigma_bot.journal.schema as journal
from sigma_bot.database.revision import VERSION_TABLE
from sigma_bot.schema.tables import metadata

BOTS = "sigma_bot"
"""The group of the accounts' logins. In an older installation it is a login that all bots share."""
GRANTER = "sigma_granter"
"""Makes the accounts' logins (`sigma_bot.schema.granting`)."""
CONTROL = "sigma_control"
"""People: reads everything, halts and resumes anything, imports market data."""
BACKTEST = "sigma_backtest"
READER = "sigma_reader"
# Told once and never changed.
FINAL = ("controls", "controls_done", "notices", "inputs", "fills")
# What of a bot's row changes: who it is never does.
OF_BOTS = ("run", "commits", "checkpoints", "tick", "ts", "controls_from")


def journal_tables() -> list[str]:
    """The journal's tables."""
    return sorted({table.name for table in vars(journal).values() if isinstance(table, sa.Table)})


def market_tables() -> list[str]:
    """The catalogue's tables."""
    return sorted(table.name for table in market.TABLES)


def result_tables() -> list[str]:
    """Every other table."""
    return sorted(set(metadata.tables) - set(journal_tables()) - set(market_tables()))


def changing(table: str) -> list[str]:
    """The columns of a journal table that a bot may change in a row of its own."""
    if table in FINAL:
        return []
    columns = metadata.tables[table].columns
    return [c.name for c in columns if (c.name in OF_BOTS if table == "bots" else not c.primary_key)]


def grant(connection: sa.Connection) -> None:
    """Give each role what it needs and take away what it does not."""
    query = sa.text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
    named = [BOTS, GRANTER, CONTROL, BACKTEST, READER]
    there = set(connection.execute(query, {"names": named}).scalars())
    for statement in statements(there):
        connection.exec_driver_sql(statement)


def statements(there: Iterable[str]) -> list[str]:
    """The statements that give these roles their rights, to be run in one transaction: bots are at work."""
    out = []
    for role in sorted(there):
        out += [f"REVOKE ALL ON ALL {what} IN SCHEMA public FROM {role}" for what in ("TABLES", "SEQUENCES")]
        out += [f"GRANT SELECT ON {VERSION_TABLE} TO {role}", *_OF_ROLE[role]()]
    return out


def _bots() -> list[str]:
    # UPDATE of columns and not of tables: who may update a table may lock it against everybody.
    rights = [f"GRANT SELECT, INSERT ON {', '.join(journal_tables())} TO {BOTS}"]
    for table in journal_tables():
        if columns := changing(table):
            rights.append(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {BOTS}")
    return [*rights, f"GRANT USAGE ON SEQUENCE bots_id_seq, fills_id_seq, controls_id_seq TO {BOTS}"]


def _granter() -> list[str]:
    who = "name, mode, venue, account, owner"
    return [f"GRANT SELECT ({who}), UPDATE (owner) ON bots TO {GRANTER}", *_everything(GRANTER, ["bots"])]


def _control() -> list[str]:
    every = [*journal_tables(), *market_tables(), *result_tables()]
    return [
        f"GRANT SELECT ON {', '.join(every)} TO {CONTROL}",
        f"GRANT INSERT ON controls TO {CONTROL}",
        f"GRANT INSERT, DELETE ON {', '.join(market_tables())} TO {CONTROL}",
        f"GRANT USAGE ON SEQUENCE controls_id_seq, market_files_id_seq TO {CONTROL}",
        *_everything(CONTROL, journal_tables()),
    ]


def _backtest() -> list[str]:
    return [
        f"GRANT SELECT, INSERT ON {', '.join(result_tables())} TO {BACKTEST}",
        f"GRANT SELECT ON {', '.join(market_tables())} TO {BACKTEST}",
        f"GRANT USAGE ON SEQUENCE runs_pk_seq TO {BACKTEST}",
    ]


def _reader() -> list[str]:
    return [
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
        *_everything(READER, journal_tables()),
    ]


def _everything(role: str, tables: Iterable[str]) -> list[str]:
    """A policy under which the role meets every row of these tables."""
    out = []
    for table in tables:
        out.append(f"DROP POLICY IF EXISTS {role} ON {table}")
        out.append(f"CREATE POLICY {role} ON {table} TO {role} USING (true)")
    return out


_OF_ROLE = {BOTS: _bots, GRANTER: _granter, CONTROL: _control, BACKTEST: _backtest, READER: _reader}
