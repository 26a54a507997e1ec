"""What a venue's error means for an order: one table. Refused and transient say "it certainly did not
happen", so whatever is not understood is unknown: looked up, never sent again blindly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sigma_bot.redaction import redact
from sigma_bot.venues.error_rows import (
    AFTER,
    BEFORE,
    LATE,
    LOST,
    MALFORMED,
    REFUSED,
    TRANSIENT,
    UNKNOWN,
    UNSENT,
    Kind,
    Row,
)
from sigma_bot.venues.registry import venue_of
from sigma_bot.venues.types import RefusedError, TransientError, UnknownError, VenueError
from sigma_bot.venues.venue import header

COUNTS: Counter[tuple[str, str]] = Counter()
"""Errors since the start, by venue and code. ``malformed``: an answer that made no sense."""

PAUSE = 1.0
"""Seconds to wait after a transient error when the venue does not say."""
BAN = 120.0
"""Seconds to wait when banned without a time: Binance's shortest ban."""
_SHOWN = 300
"""Characters of a venue's own message that are repeated."""


# ccxt's own exceptions, by the name of the class or of its nearest parent here. What ccxt raises before
# anything was written is transient or a bug of ours; see `from_exception`.
CCXT: Mapping[str, Kind] = {
    "BaseError": UNKNOWN,
    "ExchangeError": UNKNOWN,
    "AuthenticationError": REFUSED,
    "PermissionDenied": REFUSED,
    "AccountNotEnabled": REFUSED,
    "AccountSuspended": REFUSED,
    "ArgumentsRequired": REFUSED,
    "BadRequest": REFUSED,
    "BadSymbol": REFUSED,
    "OperationRejected": REFUSED,
    "NoChange": REFUSED,
    "MarginModeAlreadySet": REFUSED,
    "MarketClosed": REFUSED,
    "ManualInteractionNeeded": REFUSED,
    "RestrictedLocation": REFUSED,
    "InsufficientFunds": REFUSED,
    "InvalidAddress": REFUSED,
    "AddressPending": REFUSED,
    "InvalidOrder": REFUSED,
    "OrderNotFound": REFUSED,
    "OrderNotCached": REFUSED,
    "OrderImmediatelyFillable": REFUSED,
    "OrderNotFillable": REFUSED,
    "DuplicateOrderId": UNKNOWN,
    "ContractUnavailable": REFUSED,
    "NotSupported": REFUSED,
    "InvalidProxySettings": REFUSED,
    "ExchangeClosedByUser": TRANSIENT,
    "OperationFailed": UNKNOWN,
    "NetworkError": UNKNOWN,
    "DDoSProtection": TRANSIENT,
    "RateLimitExceeded": TRANSIENT,
    "ExchangeNotAvailable": UNKNOWN,
    "OnMaintenance": UNKNOWN,
    "InvalidNonce": TRANSIENT,
    "ChecksumError": UNKNOWN,
    "RequestTimeout": UNKNOWN,
    "BadResponse": UNKNOWN,
    "NullResponse": UNKNOWN,
    "CancelPending": UNKNOWN,
    "UnsubscribeError": UNKNOWN,
}


def rows_of(venue: str) -> tuple[Row, ...]:
    """The rows that decide at this venue; the first that fits does."""
    return (*BEFORE, *venue_of(venue).errors, *AFTER)


def from_answer(
    venue: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> VenueError:
    """The error of an answer that says no. ``code`` and ``message`` are the venue's own, "" without."""
    row = next(row for row in rows_of(venue) if row.fits(status, code, message))
    ours = row.becomes or code or f"HTTP {status}"
    said = redact(message.strip())[:_SHOWN]
    text = f"{venue}: {row.advice or said or f'HTTP {status}'}"
    if row.advice:
        text += f" ({' '.join(part for part in (code, said) if part) or f'HTTP {status}'})"
    COUNTS[venue, ours] += 1
    if row.kind is TRANSIENT:
        return TransientError(text, ours, retry_after(status, headers or {}))
    error: VenueError = row.kind.value(text, ours)
    return error


def clocks(offset_ns: int) -> str:
    """Which of two clocks is ahead; ``offset_ns`` is the venue's less ours."""
    side = "behind" if offset_ns > 0 else "ahead of"
    return f"this machine's clock is {abs(offset_ns) / 1e9:.1f} s {side} the venue's"


def retry_after(status: int, headers: Mapping[str, str]) -> float:
    """Seconds that the venue asks for, else a guess."""
    said = header(headers, "retry-after")
    if said.isdecimal() and len(said) < 7:
        return float(said)
    return BAN if status == 418 else PAUSE


def from_exception(venue: str, error: BaseException, sent: bool) -> VenueError | None:
    """The error of a request that ended in an exception of ccxt, aiohttp or the system. None: it was not sent
    and the line is not to blame, so it is a bug of ours."""
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((CCXT[name] for name in names if name in CCXT), None)
    line = "NetworkError" in names or isinstance(error, OSError | TimeoutError)
    cause = type(error.__cause__ or error).__name__
    text = f"{venue}: {cause}: {redact(str(error))[:_SHOWN]}"
    if sent:
        # Written to the socket: what ccxt makes of it does not matter, the venue may have done it.
        COUNTS[venue, LOST] += 1
        return UnknownError(f"{text} (sent, and no answer came)", LOST)
    if line or kind is TRANSIENT:
        COUNTS[venue, UNSENT] += 1
        return TransientError(f"{text} (nothing was sent)", UNSENT, PAUSE)
    if kind is REFUSED:
        return RefusedError(text, names[0])
    return None


def malformed(venue: str, odd: Exception) -> UnknownError:
    """An answer or message that makes no sense: counted, and never taken for anything."""
    COUNTS[venue, MALFORMED] += 1
    what = f"{type(odd).__name__}: {odd}"
    return UnknownError(f"{venue}: answer not understood: {redact(what)[:_SHOWN]}", MALFORMED)


def late(venue: str) -> TransientError:
    """The deadline passed before the first byte was written."""
    COUNTS[venue, LATE] += 1
    return TransientError(f"{venue}: too late to send; nothing was sent", LATE, 0.0)
