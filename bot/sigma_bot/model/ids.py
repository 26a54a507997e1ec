"""Client order ids: deterministic, so that a restarted bot knows its own orders and nobody else's.

``sx-<bot>-<run>-<order>-<attempt>``: eight hex digits of the bot's name, then numbers in base 36; the run's
is the millisecond in which it began. At most 36 characters of [a-z0-9-], which every venue takes.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
PREFIX = "sx"


class ClientId(NamedTuple):
    """What an id says."""

    bot: str
    run: int
    order: int
    attempt: int


def tag_of(bot: str) -> str:
    """Eight hex digits that stand for a bot's name."""
    return hashlib.sha256(bot.encode()).hexdigest()[:8]


def make(tag: str, run: int, order: int, attempt: int) -> str:
    """The id of one order at the venue."""
    return f"{PREFIX}-{tag}-{base36(run)}-{base36(order)}-{base36(attempt)}"


def parse(text: str) -> ClientId | None:
    """What ``make`` put together, None for an id that is not of this form."""
    parts = text.split("-")
    if len(parts) != 5 or parts[0] != PREFIX or len(parts[1]) != 8:
        return None
    try:
        return ClientId(parts[1], int(parts[2], 36), int(parts[3], 36), int(parts[4], 36))
    except ValueError:
        return None


def base36(n: int) -> str:
    """A natural number in base 36."""
    out = ""
    while True:
        n, digit = divmod(n, 36)
        out = _DIGITS[digit] + out
        if n == 0:
            return out
