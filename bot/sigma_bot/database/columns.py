"""Column types and the one MetaData that holds the tables of every room.

Exactness: money, prices and quantities are NUMERIC without a scale, so the digits come back as they went in.
SQLite has no such type: a column declared NUMERIC turns "0.1" into a binary float. There the decimal's text
is stored, which keeps every digit; arithmetic on it in SQL needs a CAST, and sums of money belong into code
with `Decimal`.

Time: moments of a run are BIGINT nanoseconds since 1970 UTC (timestamptz ends at microseconds); what people
filter by (created, start, end of the data) is timestamptz, on SQLite ISO 8601 text, which sorts the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Numeric,
    Text,
    TypeDecorator,
    types,
)


class Exact(TypeDecorator[Decimal]):
    """A decimal that keeps every digit: NUMERIC, and text on SQLite. Floats are refused."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"a ledger column takes a Decimal, not {type(value).__name__}")
        return format(value, "f") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, _: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC: timestamptz, and ISO 8601 text of fixed width on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a time without a zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, _: Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


metadata = MetaData()

Key = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts rows by itself only in a column declared INTEGER."""
