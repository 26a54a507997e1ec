"""The tables of the catalogue in a database: its files, each as a row with its content in pieces.

Files of a replaced import go with their pieces and come anew under another id, so whoever reads one meets
what it opened, or nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text, UniqueConstraint

from sigma_bot.database.columns import Key, Moment, metadata

market_files = Table(
    "market_files",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("venue", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("kind", Text, nullable=False),  # ticks, bars-1m
    Column("date", Text, nullable=False),  # 2024-01-31, 2024-01, 2024
    Column("rows", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),  # sha256 of the file
    Column("imported", Moment, nullable=False),
    UniqueConstraint("venue", "symbol", "kind", "date", name="uq_market_files_date"),
    sqlite_autoincrement=True,  # an id never comes again
)
market_pieces = Table(
    "market_pieces",
    metadata,
    Column("file", Key, ForeignKey("market_files.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),  # sha256 of the piece
    Column("content", LargeBinary, nullable=False),
)
TABLES = (market_files, market_pieces)
