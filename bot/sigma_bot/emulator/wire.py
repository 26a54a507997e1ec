"""Numbers and times as the venues write them, and JSON that keeps a Decimal's every digit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

from sigma_bot.decimals import trimmed
from sigma_bot.times import utc

KST = timezone(timedelta(hours=9))


def padded(value: Decimal | int, digits: int = 8) -> str:
    """A number with a fixed number of decimals, as Binance writes them; more digits are kept."""
    text = format(value, "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(digits, '0')}"


def dump(value: Any) -> str:
    """JSON text. Decimals become JSON numbers with all their digits, which ``json`` can't do."""
    match value:
        case Decimal():
            return trimmed(value)
        case str() | bool() | int() | float() | None:
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            inner = ",".join(f"{json.dumps(str(k), ensure_ascii=False)}:{dump(v)}" for k, v in value.items())
            return "{" + inner + "}"
        case list() | tuple():
            return "[" + ",".join(dump(v) for v in value) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON form")


def ms(ns: int) -> int:
    """Milliseconds since 1970 of nanoseconds."""
    return ns // 1_000_000


def kst(ns: int) -> str:
    """A time as Upbit writes it: ``2026-01-02T03:04:05+09:00``."""
    return utc(ns).astimezone(KST).isoformat(timespec="seconds")
