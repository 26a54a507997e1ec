"""JSON that gives back exactly what went in: decimals, tuples, dates and non-finite floats keep their type.

Such a value is written as an object with one tag, ``{"$decimal": "0.01"}``; all else is plain JSON, so a
manifest or a parameter reads in SQL as it looks. Infinity and NaN have no JSON form, and PostgreSQL refuses
the usual extension.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any

_READ: dict[str, Callable[[Any], Any]] = {
    "$decimal": Decimal,
    "$float": float,
    "$tuple": lambda items: tuple(from_json_types(item) for item in items),
    "$time": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$dict": lambda pairs: {key: from_json_types(value) for key, value in pairs},
}


def dump(value: Any) -> str:
    """``value`` as JSON text. Raises TypeError for a type that has no exact form."""
    return json.dumps(to_json_types(value), allow_nan=False, separators=(",", ":"))


def load(text: str | bytes) -> Any:
    """The inverse of `dump`."""
    return from_json_types(json.loads(text))


def to_json_types(value: Any) -> Any:
    """``value`` in terms of JSON's own types."""
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Mapping):
        pairs = [(_key(key), to_json_types(item)) for key, item in value.items()]
        ambiguous = len(pairs) == 1 and pairs[0][0] in _READ
        return {"$dict": pairs} if ambiguous else dict(pairs)
    if isinstance(value, list):
        return [to_json_types(item) for item in value]
    return _tagged(value)


def _tagged(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, tuple):
        return {"$tuple": [to_json_types(item) for item in value]}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"cannot store a value of type {type(value).__name__}")


def from_json_types(value: Any) -> Any:
    """The inverse of :func:`to_json_types`."""
    if isinstance(value, list):
        return [from_json_types(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        tag, held = next(iter(value.items()))
        if tag in _READ:
            return _READ[tag](held)
    return {key: from_json_types(item) for key, item in value.items()}


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"cannot store a mapping with a key of type {type(key).__name__}")
    return key
