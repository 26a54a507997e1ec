"""Which rows of the journal to read, and the cursor from which to go on.

Rows come the newest first, a page at a time. A cursor holds the key of a page's last row, so the next page is
found by an index however far back it lies, and rows that are added meanwhile neither repeat nor hide one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sigma_bot.errors import BadInputError
from sigma_bot.model.orders import State

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Filter:
    """What must hold of a row; None: anything may.

    ``since`` (included) and ``until`` (not) are ns UTC: of an order when it was created, of a fill and a
    notice when it happened; inputs have no time of their own. ``symbol`` and ``states`` narrow what the index
    of bot and time finds. ``limit`` None reads all. ``after`` is the cursor of the page before, which was
    read with the same filter but for ``limit``.
    """

    bot: str | None = None
    run: int | None = None
    symbol: str | None = None
    states: frozenset[State] | None = None  # orders only
    since: int | None = None
    until: int | None = None
    limit: int | None = 100
    after: str | None = None

    def digest(self) -> str:
        """Stands for all but ``limit`` and ``after``: a cursor of another filter is refused."""
        same = (self.bot, self.run, self.symbol, self.since, self.until)
        told = repr((*same, None if self.states is None else sorted(self.states)))
        return hashlib.sha256(told.encode()).hexdigest()[:12]


def parse_states(words: Iterable[str]) -> frozenset[State]:
    """States by their names, or by those of the version before. Raises BadInputError."""
    found = set()
    for word in words:
        try:
            found.add(State(word))
        except ValueError:
            known = ", ".join(State)
            raise BadInputError(f"state {word!r} is not known; it is one of {known}") from None
    return frozenset(found)


def encode_cursor(table: str, chosen: Filter, key: Sequence[int | str]) -> str:
    """A cursor behind the row of this key."""
    text = json.dumps([_VERSION, table, chosen.digest(), *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(table: str, chosen: Filter, kinds: Sequence[type]) -> list[int | str]:
    """The key in ``chosen.after``, of these types. Raises BadInputError when it is cut, or was made for
    another table or filter."""
    text = chosen.after or ""
    try:
        padded = text + "=" * (-len(text) % 4)
        version, made_for, digest, *key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise BadInputError(f"cursor {text!r} cannot be read; begin again without one") from None
    found: list[int | str] = key
    fits = (version, made_for, digest) == (_VERSION, table, chosen.digest())
    if not fits or [type(part) for part in found] != list(kinds):
        raise BadInputError(f"cursor {text!r} belongs to another list or other filters; begin again without")
    return found
