"""Time in one unit: int64 nanoseconds since 1970 UTC. Lengths, aware datetimes, texts for people and JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MICROSECOND = 1_000
MILLISECOND = 1_000 * MICROSECOND
SECOND = 1_000 * MILLISECOND
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(ns: int) -> datetime:
    """An aware datetime, cut to microseconds."""
    return EPOCH + timedelta(microseconds=int(ns) // MICROSECOND)  # int: NumPy's too


def iso(ns: int) -> str:
    """ISO 8601: ``2024-01-01T00:00:00Z``, with 3, 6 or 9 decimals where the value needs them."""
    rest = ns % SECOND
    for size, digits in ((SECOND, 0), (MILLISECOND, 3), (MICROSECOND, 6)):
        if rest % size == 0:
            fraction = f".{rest // (SECOND // 10**digits):0{digits}d}" if digits else ""
            return f"{utc(ns):%Y-%m-%dT%H:%M:%S}{fraction}Z"
    return iso_ns(ns)


def iso_ns(ns: int) -> str:
    """ISO 8601 to the nanosecond: ``2024-01-01T00:00:00.000000000Z``. Texts sort as their times do."""
    return f"{utc(ns):%Y-%m-%dT%H:%M:%S}.{ns % SECOND:09d}Z"


def clock(ns: int) -> str:
    """``2024-01-01 00:00:00``: to the second, for a table; empty for 0, which is no time."""
    return f"{utc(ns):%Y-%m-%d %H:%M:%S}" if ns else ""
