"""The catalogue of market data: files, and their content in pieces.

A migration never changes once released, so it spells its types out instead of reading today's tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "market_files",
        sa.Column("id", KEY, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("venue", "symbol", "kind", "date")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "size")),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("imported", MOMENT, nullable=False),
        sa.UniqueConstraint("venue", "symbol", "kind", "date", name="uq_market_files_date"),
        sqlite_autoincrement=True,  # an id never comes again
    )
    op.create_table(
        "market_pieces",
        sa.Column("file", KEY, sa.ForeignKey("market_files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Parquet is compressed already: to try it again would cost a second a hundred megabytes.
        op.execute("ALTER TABLE market_pieces ALTER COLUMN content SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Take both away."""
    op.drop_table("market_pieces")
    op.drop_table("market_files")
