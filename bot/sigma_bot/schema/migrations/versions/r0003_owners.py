"""On PostgreSQL: whose each row of the journal is, and row security by it. SQLite has no logins.

A bot's rows belong to the login that registered it. The owner stands in every row, so that a policy compares
a column and asks no other table; the foreign key holds it to the bot's own. Logins made for an account
(`sigma_account_…`, see `sigma_bot.schema.granting`) may register bots of that account only: its name is a
digest of it. SESSION_USER is compared because SET ROLE does not change it.

Rows from before belong to `sigma_bot`, the one login that all bots shared, where there is such a login. It
goes on seeing every row until it is gone: bots that run keep running until they are started again.

A migration never changes once released, so it spells its names out instead of reading today's tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# In the order in which a commit locks them, so that neither waits for the other.
OF_A_BOT = (
    "leases", "orders", "fills", "inputs", "notices", "checkpoints", "account_usage", "bot_runs",
    "controls_done",
)  # fmt: skip
TABLES = ("leases", "bots", *OF_A_BOT[1:], "controls")
SHARED = "sigma_bot"
ACCOUNT = (
    "'sigma_account_' || left(encode(sha256(convert_to(split_part(name, '/', 1) || E'\\n' || mode || E'\\n'"
    " || venue || E'\\n' || account, 'UTF8')), 'hex'), 24)"
)
# What concerns a bot of ours: that for all, that of its account, its own.
CONCERNS_US = (
    "scope = 'all' OR (scope = 'account' AND name IN (SELECT account FROM bots WHERE owner = SESSION_USER))"
    " OR (scope = 'strategy' AND name IN (SELECT name FROM bots WHERE owner = SESSION_USER))"
)
OURS = "scope = 'strategy' AND name IN (SELECT name FROM bots WHERE owner = SESSION_USER)"


def upgrade() -> None:
    """Add the owners and the policies."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    query = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :name AND rolcanlogin")
    shared = bool(connection.execute(query, {"name": SHARED}).scalar())
    op.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
    for table in ("bots", *OF_A_BOT):
        before = f"'{SHARED}'" if shared else "SESSION_USER"
        op.execute(f"ALTER TABLE {table} ADD COLUMN owner TEXT NOT NULL DEFAULT {before}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN owner SET DEFAULT SESSION_USER")
    op.execute("ALTER TABLE bots ADD CONSTRAINT uq_bots_owner UNIQUE (id, owner)")
    for table in OF_A_BOT:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_bot_fkey")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_bot_fkey FOREIGN KEY (bot, owner)"
            " REFERENCES bots (id, owner) ON DELETE CASCADE ON UPDATE CASCADE"
        )
    # Two accounts that were given one name, in two namespaces, are two.
    op.execute("ALTER TABLE fills DROP CONSTRAINT uq_fills_trade")
    op.execute(
        "ALTER TABLE fills ADD CONSTRAINT uq_fills_trade UNIQUE (scope, symbol, trade_id, side, owner)"
    )
    _secure(shared)


def _secure(shared: bool) -> None:
    mine = "owner = SESSION_USER"
    for table in ("bots", *OF_A_BOT):
        op.execute(f"CREATE POLICY own ON {table} USING ({mine})")
    # Once, when a bot is registered: who it is never changes, and bots' rows are written at every commit.
    op.execute(
        "CREATE POLICY of_its_account ON bots AS RESTRICTIVE FOR INSERT WITH CHECK"
        f" (SESSION_USER NOT LIKE 'sigma\\_account\\_%' OR SESSION_USER = {ACCOUNT})"
    )
    op.execute(f"CREATE POLICY concerns_us ON controls FOR SELECT USING ({CONCERNS_US})")
    op.execute(f"CREATE POLICY own ON controls FOR INSERT WITH CHECK ({OURS})")
    for table in TABLES:
        if shared:
            op.execute(f"CREATE POLICY before ON {table} TO {SHARED} USING (SESSION_USER = '{SHARED}')")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Take policies and owners away."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        for policy in ("own", "of_its_account", "concerns_us", "before"):
            op.execute(f"DROP POLICY IF EXISTS {policy} ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE fills DROP CONSTRAINT uq_fills_trade")
    op.execute("ALTER TABLE fills ADD CONSTRAINT uq_fills_trade UNIQUE (scope, symbol, trade_id, side)")
    for table in OF_A_BOT:
        op.execute(f"ALTER TABLE {table} DROP COLUMN owner CASCADE")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_bot_fkey FOREIGN KEY (bot) REFERENCES bots (id)"
            " ON DELETE CASCADE"
        )
    op.execute("ALTER TABLE bots DROP COLUMN owner CASCADE")
