"""What is known of a venue before it is asked: rules of its markets, limits of its API, its errors. Pure
data.

Presets are a convenience for backtests; in LIVE the venue itself is asked. Venues change their tables: each
says when and where it was read. They apply to the whole period of a backtest, also to years in which another
table ruled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from sigma_bot.venues.error_rows import Row
from sigma_bot.venues.types import Capabilities

SLOTS = 20
"""Slots of a rate limit's window. More are finer and cost more."""
RESERVE = 0.2
"""Share of a bucket that only urgent requests may use."""


@dataclass(frozen=True)
class Band:
    """From price ``start`` on, prices are whole multiples of ``num / den`` (lowest terms)."""

    start: Decimal
    num: int
    den: int


def band(start: Decimal | str, tick: Decimal | str) -> Band:
    """A band with its step as an integer fraction in lowest terms."""
    num, den = Decimal(tick).as_integer_ratio()
    return Band(Decimal(start), num, den)


@dataclass(frozen=True)
class Preset:
    """Rules that a manifest may take by the venue's name.

    ``quotes`` names the quote currencies whose markets the bands hold for, empty for any; ``missing`` says,
    by field, what a manifest must give itself and why.
    """

    bands: tuple[Band, ...]
    min_notional: Decimal
    fee: Decimal
    quotes: frozenset[str] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bucket:
    """At most ``limit`` units in ``window_ms``. ``per``: whose count it is at the venue."""

    name: str
    limit: int
    window_ms: int
    per: str  # key, address

    @property
    def slot_ms(self) -> int:
        """Length of a slot."""
        return self.window_ms // SLOTS

    def allowed(self, urgent: bool) -> int:
        """Units that a request of this kind may bring it to; one at least, or it could never be sent."""
        return self.limit if urgent else max(1, int(self.limit * (1 - RESERVE)))


@dataclass(frozen=True)
class Venue:
    """One venue. ``usage`` reads the units used, by bucket, from an answer's headers."""

    name: str
    preset: Preset
    capabilities: Capabilities
    buckets: tuple[Bucket, ...]
    usage: Callable[[Mapping[str, str]], dict[str, int]]
    errors: tuple[Row, ...]
    minimums: Mapping[str, str] = field(default_factory=dict)
    """Least value of an order by quote currency, where it is not the preset's."""


def header(headers: Mapping[str, str], wanted: str) -> str:
    """A header's value whatever its case, "" without."""
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def is_count(text: str) -> bool:
    """Whether a header's value is a number that can be one."""
    return text.isdecimal() and len(text) < 10
