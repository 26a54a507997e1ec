"""Reading a venue's answers: every field is checked for kind and size, and whatever is odd raises
MalformedError. Numbers come from the venue's own text, so no digit passes through a float."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeGuard

from sigma_bot.times import MILLISECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{1,24}(\.\d{1,24})?([eE][+-]?\d{1,2})?")
"""A number of zero or above as venues write it. Not a NaN, an infinity, a sign, or a bomb of digits."""
_MOST = Decimal("1e24")
_TEXT = 200
"""Longest text field that is believed: ids, names, reasons."""
_EARLIEST, _LATEST = 946_684_800_000, 4_102_444_800_000
"""Years 2000 to 2100 in ms: a time outside is a broken field."""


class MalformedError(Exception):
    """A message that cannot be what the venue means. Never leaves this room: see `errors.malformed`."""


UNREADABLE = (MalformedError, ArithmeticError, LookupError, TypeError, ValueError)
"""What reading a message may end in. All but the first would be a fault of ours; a message that nobody
foresaw must not stop a bot all the same, and the error's text says which it was."""


def parse_json(text: str) -> object:
    """The JSON value with decimals as Decimal. MalformedError for anything else, NaN too."""
    try:
        value: object = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise MalformedError(f"not JSON: {type(error).__name__}, {text[:80]!r}") from None
    return value


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether it is a JSON object: `json` gives text keys."""
    return isinstance(value, dict)


class Fields:
    """A JSON object, read field by field. ``what`` names it in errors."""

    __slots__ = ("_map", "_what")

    def __init__(self, value: object, what: str) -> None:
        if not is_object(value):
            raise MalformedError(f"{what} is {_shown(value)}, not an object")
        self._map: Mapping[str, object] = value
        self._what = what

    def __contains__(self, name: str) -> bool:
        return self._map.get(name) is not None

    def raw(self, name: str) -> object:
        """The value as it came."""
        value = self._map.get(name)
        if value is None:
            raise MalformedError(f"{self._what} has no {name}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A short printable text; whole numbers count as text (ids)."""
        if default is not None and name not in self:
            return default
        value = self.raw(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if abs(value) < 10**30 else "x" * (_TEXT + 1)
        if not isinstance(value, str) or len(value) > _TEXT or not value.isprintable():
            raise self._wrong(name, "a short text")
        return value

    def number(self, name: str, default: str | None = None) -> Decimal:
        """A number of zero or above, exactly as written."""
        if default is not None and name not in self:
            return Decimal(default)
        value = self.raw(name)
        text = format(value) if isinstance(value, Decimal | int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
            raise self._wrong(name, "a number of zero or above")
        number = Decimal(text)
        if number > _MOST:
            raise self._wrong(name, "a number of a size that occurs")
        return number

    def positive(self, name: str) -> Decimal:
        """A number above zero."""
        number = self.number(name)
        if not number:
            raise self._wrong(name, "above zero")
        return number

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        if default is not None and name not in self:
            return default
        value = self.raw(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def ms(self, name: str) -> int:
        """A time in ms since 1970, as ns."""
        value = self.raw(name)
        if not isinstance(value, int) or isinstance(value, bool) or not _EARLIEST < value < _LATEST:
            raise self._wrong(name, "a time in ms")
        return value * MILLISECOND

    def iso(self, name: str) -> int:
        """A time like 2024-08-08T09:00:00+09:00, as ns."""
        try:
            since = datetime.fromisoformat(self.text(name)) - _EPOCH
        except (ValueError, TypeError):  # a TypeError for a time without its zone
            raise self._wrong(name, "a time with its zone") from None
        ns = since // timedelta(microseconds=1) * 1000
        if not _EARLIEST * MILLISECOND < ns < _LATEST * MILLISECOND:
            raise self._wrong(name, "a time with its zone")
        return ns

    def one_of(self, name: str, known: Mapping[str, str]) -> str:
        """The word that a known value stands for."""
        value = self.raw(name)
        if not isinstance(value, str) or value not in known:
            raise self._wrong(name, "one of " + ", ".join(known))
        return known[value]

    def object(self, name: str) -> Fields:
        """A nested object."""
        return Fields(self.raw(name), f"{self._what}.{name}")

    def items(self, name: str) -> Iterator[Fields]:
        """A nested list of objects."""
        return rows(self.raw(name), f"{self._what}.{name}")

    def _wrong(self, name: str, right: str) -> MalformedError:
        return MalformedError(f"{self._what}.{name} is {_shown(self._map.get(name))}, not {right}")


def rows(value: object, what: str) -> Iterator[Fields]:
    """A list of objects."""
    if not isinstance(value, list):
        raise MalformedError(f"{what} is {_shown(value)}, not a list")
    return (Fields(item, f"{what}[{i}]") for i, item in enumerate(value))


def _shown(value: object) -> str:
    """A value for an error, however large or odd it is."""
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, bool | Decimal | None):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**30 else "a huge number"
    return f"a {type(value).__name__}"


def wire(number: Decimal) -> str:
    """A number as venues take it: no exponent, no zeros at the end, every digit kept."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
