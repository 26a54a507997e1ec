"""Records as JSON: decimals as their digits, times as ISO 8601, a number that is not finite as null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from sigma_bot.times import iso_ns

TIMES = frozenset(("created", "updated", "ts", "started", "until", "since"))
"""Fields that hold ns since 1970 UTC; 0 is no time, and null."""


def to_json(content: Any) -> str:
    """One JSON document on one line."""
    return json.dumps(projected(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def projected(value: Any, name: str = "") -> Any:
    """``value`` in JSON's own types; ``name`` is the field that holds it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: projected(getattr(value, item.name), item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: projected(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [projected(item) for item in value]
    return _scalar(value, name)


def _scalar(value: Any, name: str) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not isfinite(value):
        return None
    if name in TIMES and isinstance(value, int):
        return iso_ns(value) if value else None
    return value
