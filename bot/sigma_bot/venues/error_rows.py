"""What a venue's error means for an order, as rows of a table. Refused and transient say "it certainly did
not happen", so whatever no row knows is unknown: looked up, never sent again blindly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sigma_bot.venues.types import RefusedError, TransientError, UnknownError

GONE = "gone"  # the order is not open (any more)
ABSENT = "absent"  # the venue knows no such order
LATE = "late"  # the deadline passed before anything was written
UNSENT = "unsent"  # the line failed before anything was written
MALFORMED = "malformed"
LOST = "lost"  # written, and no answer that could be read
CLOCK = "clock"  # our clock and the venue's are too far apart
DUPLICATE = "duplicate"  # an order with this client id is there already
SUSPENDED = "suspended"
BALANCE = "balance"  # the account holds less than was to be sold or paid
UNKNOWN_MARKET = "unknown-market"


class Kind(Enum):
    """The three answers an order path can act on."""

    REFUSED = RefusedError
    TRANSIENT = TransientError
    UNKNOWN = UnknownError


REFUSED, TRANSIENT, UNKNOWN = Kind.REFUSED, Kind.TRANSIENT, Kind.UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """The first row that fits decides. ``None`` fits everything; ``code`` may end in ``*``; ``words`` is
    looked for in the venue's message. ``becomes`` is our code, "" keeps the venue's."""

    status: int | None
    code: str | None
    words: str
    kind: Kind
    becomes: str = ""
    advice: str = ""

    def fits(self, status: int, code: str, message: str) -> bool:
        """Whether it is this row's case."""
        return (
            (self.status is None or self.status == status)
            and (self.code is None or _matches(self.code, code))
            and self.words.lower() in message.lower()
        )


def _matches(pattern: str, code: str) -> bool:
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


UNKNOWN_KEY = "the API key is not known to the venue: check SIGMA_KEYS_DIR, or make a new key"
WRONG_SECRET = "the API secret does not belong to the key"
NO_PERMISSION = "the API key may not do this: allow trading for it at the venue"
CLOCKS_DIFFER = (
    "this machine's clock and the venue's differ by more than the window: let chrony or NTP set it"
)
WRONG_ADDRESS = "this machine's address is not on the key's list: add it at the venue"
NO_BALANCE = "not enough free balance"
OFF_GRID = "price or quantity is off the venue's grid or limits"
NOT_TRADING = "the market does not trade now"

BEFORE: tuple[Row, ...] = (
    # the request was turned away before it was looked at
    Row(418, None, "", TRANSIENT, "banned", "banned for asking too often"),
    Row(429, None, "", TRANSIENT, "rate-limit", "asked too often"),
)
"""Of any venue, ahead of its own rows."""
AFTER: tuple[Row, ...] = (
    Row(401, None, "", REFUSED, "key", UNKNOWN_KEY),
    Row(None, None, "", UNKNOWN),
)
"""Of any venue, where none of its own rows fits."""
