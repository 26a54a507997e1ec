"""What a venue's error means for an order: one table. Refused and transient say "it certainly did not
happen", so whatever is not understood is unknown: looked up, never sent again blindly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sigma_bot.redaction import redact
from sigma_bot.venues.types import RefusedError, TransientError, UnknownError, VenueError

COUNTS: Counter[tuple[str, str]] = Counter()
"""Errors since the start, by venue and code. ``malformed``: an answer that made no sense."""

GONE = "gone"  # the order is not open (any more)
ABSENT = "absent"  # the venue knows no such order
LATE = "late"  # the deadline passed before anything was written
UNSENT = "unsent"  # the line failed before anything was written
MALFORMED = "malformed"
LOST = "lost"  # written, and no answer that could be read
CLOCK = "clock"  # our clock and the venue's are too far apart
DUPLICATE = "duplicate"  # an order with this client id is there already
SUSPENDED = "suspended"
UNKNOWN_MARKET = "unknown-market"
PAUSE = 1.0
"""Seconds to wait after a transient error when the venue does not say."""
BAN = 120.0
"""Seconds to wait when banned without a time: Binance's shortest ban."""
_SHOWN = 300
"""Characters of a venue's own message that are repeated."""


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

    venue: str | None
    status: int | None
    code: str | None
    words: str
    kind: Kind
    becomes: str = ""
    advice: str = ""

    def fits(self, venue: str, status: int, code: str, message: str) -> bool:
        """Whether it is this row's case."""
        return (
            (self.venue is None or venue in self.venue.split())
            and (self.status is None or self.status == status)
            and (self.code is None or _matches(self.code, code))
            and self.words.lower() in message.lower()
        )


def _matches(pattern: str, code: str) -> bool:
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


_KEY = "the API key is not known to the venue: check SIGMA_KEYS_DIR, or make a new key"
_SIGNATURE = "the API secret does not belong to the key"
_PERMISSION = "the API key may not do this: allow trading for it at the venue"
_BINANCE_KEY = (
    "the API key is wrong or expired, this machine's address is not on its list, or it may not trade: "
    "check these three at Binance"
)
_CLOCK = "this machine's clock and the venue's differ by more than the window: let chrony or NTP set it"
_ADDRESS = "this machine's address is not on the key's list: add it at the venue"
_BALANCE = "not enough free balance"
_GRID = "price or quantity is off the venue's grid or limits"
_MARKET = "the market does not trade now"

B, K, H, KOREA = "binance", "upbit", "bithumb", "upbit bithumb"
TABLE: tuple[Row, ...] = (
    # --- any venue: the request was turned away before it was looked at
    Row(None, 418, None, "", TRANSIENT, "banned", "banned for asking too often"),
    Row(None, 429, None, "", TRANSIENT, "rate-limit", "asked too often"),
    # --- Binance (errors.md): who is asking
    Row(B, None, "-1003", "", TRANSIENT, "rate-limit", "asked too often"),
    Row(B, None, "-1015", "", TRANSIENT, "rate-limit", "too many orders"),
    Row(B, None, "-1034", "", TRANSIENT, "rate-limit", "too many connections"),
    Row(B, None, "-1008", "", TRANSIENT, "busy", "the venue is overloaded and did not take it"),
    Row(B, None, "-1021", "", TRANSIENT, CLOCK, _CLOCK),
    Row(B, None, "-1022", "", REFUSED, "key", _SIGNATURE),
    Row(B, None, "-2014", "", REFUSED, "key", _KEY),
    Row(B, None, "-2015", "", REFUSED, "key", _BINANCE_KEY),
    Row(B, None, "-1002", "", REFUSED, "permission", _PERMISSION),
    # --- Binance: nobody can tell
    Row(B, None, "-1000", "", UNKNOWN),
    Row(B, None, "-1001", "", UNKNOWN),
    Row(B, None, "-1006", "", UNKNOWN),
    Row(B, None, "-1007", "", UNKNOWN),
    Row(B, 409, None, "", UNKNOWN),
    # --- Binance: what was asked
    Row(B, None, "-1121", "", REFUSED, UNKNOWN_MARKET, "the market is not known"),
    Row(B, None, "-1122", "", REFUSED, SUSPENDED, _MARKET),
    Row(B, None, "-2016", "", REFUSED, SUSPENDED, _MARKET),
    Row(B, None, "-1013", "market is closed", REFUSED, SUSPENDED, _MARKET),
    Row(B, None, "-2013", "", REFUSED, ABSENT),
    Row(B, None, "-2026", "", REFUSED, ABSENT, "the order is older than 90 days and without a fill"),
    Row(B, None, "-2011", "not canceled due to", REFUSED),
    Row(B, None, "-2011", "may not place or cancel", REFUSED, "permission", _PERMISSION),
    Row(B, None, "-2011", "", REFUSED, GONE),
    # The one "rejection" that says an order of this id is there.
    Row(B, None, "-2010", "duplicate order", UNKNOWN, DUPLICATE),
    Row(B, None, "-2010", "insufficient balance", REFUSED, "balance", _BALANCE),
    Row(B, None, "-2010", "market is closed", REFUSED, SUSPENDED, _MARKET),
    Row(B, None, "-2010", "may not place", REFUSED, "permission", _PERMISSION),
    Row(B, None, "-2010", "disabled on this account", REFUSED, "permission", _PERMISSION),
    Row(B, None, "-2010", "not permitted for this account", REFUSED, "permission", _PERMISSION),
    Row(B, None, "-2010", "restricted for this account", REFUSED, "permission", _PERMISSION),
    Row(B, None, "-2010", "immediately match", REFUSED, "would-take", "post-only, and it would have taken"),
    Row(B, None, "-2010", "", REFUSED),
    Row(B, None, "-1010", "duplicate order", UNKNOWN, DUPLICATE),
    Row(B, None, "-1010", "", REFUSED),
    Row(B, None, "-1013", "", REFUSED, "filter", _GRID),
    Row(B, None, "-1111", "", REFUSED, "filter", _GRID),
    Row(B, None, "-1014", "", REFUSED),
    Row(B, None, "-1016", "", REFUSED, "", "the venue no longer offers this"),
    Row(B, None, "-1020", "", REFUSED),
    Row(B, None, "-1033", "", REFUSED),
    Row(B, None, "-1035", "", REFUSED),
    Row(B, None, "-1099", "", REFUSED),
    # -1100 to -1299 say that the request itself is malformed.
    Row(B, None, "-11*", "", REFUSED),
    Row(B, None, "-12*", "", REFUSED),
    Row(B, None, "-2035", "", REFUSED),
    Row(B, None, "-2036", "", REFUSED),
    Row(B, None, "-2039", "", REFUSED, ABSENT),
    Row(B, None, "-2042", "", REFUSED),
    Row(B, None, "-2043", "", REFUSED),
    # Cancel-replace, which we never use: it may have done half of it.
    Row(B, None, "-2021", "", UNKNOWN),
    Row(B, None, "-2022", "", UNKNOWN),
    # A firewall's page has no code; nothing behind it saw the request.
    Row(B, 403, "", "", TRANSIENT, "firewall", "the venue's firewall turned the request away"),
    Row(B, 451, None, "", REFUSED, "permission", "the venue does not serve this country"),
    # --- Upbit and Bithumb: who is asking
    Row(KOREA, None, "too_many_requests", "", TRANSIENT, "rate-limit", "asked too often"),
    Row(KOREA, None, "too_many_request", "", TRANSIENT, "rate-limit", "asked too often"),
    Row(KOREA, None, "invalid_access_key", "", REFUSED, "key", _KEY),
    Row(KOREA, None, "jwt_verification", "", REFUSED, "key", _SIGNATURE),
    Row(KOREA, None, "invalid_jwt", "", REFUSED, "key", _SIGNATURE),
    Row(KOREA, None, "invalid_query_payload", "", REFUSED, "key", _SIGNATURE),
    Row(KOREA, None, "expired_access_key", "", REFUSED, "key", "the API key has expired: make a new one"),
    Row(H, None, "expired_jwt", "", TRANSIENT, CLOCK, _CLOCK),
    Row(KOREA, None, "nonce_used", "", TRANSIENT, "", "a token was used twice"),
    Row(KOREA, None, "no_authorization_i_p", "", REFUSED, "address", _ADDRESS),
    Row(KOREA, None, "no_authorization_ip", "", REFUSED, "address", _ADDRESS),
    Row(H, None, "NotAllowIP", "", REFUSED, "address", _ADDRESS),
    Row(KOREA, None, "out_of_scope", "", REFUSED, "permission", _PERMISSION),
    Row(KOREA, None, "no_authorization_token", "", REFUSED, "key", _KEY),
    Row(KOREA, None, "thirdparty_agreement_required", "", REFUSED, "permission", "an agreement is missing"),
    Row(H, None, "blocked_member_id", "", REFUSED, "permission", "the account is blocked"),
    # --- Upbit and Bithumb: what was asked
    # Accepted, and still being processed: it may come to life any moment.
    Row(H, None, "order_not_ready", "", UNKNOWN),
    Row(KOREA, None, "order_not_found", "", REFUSED, ABSENT),
    Row(KOREA, None, "order_already_canceled", "", REFUSED, GONE),
    Row(KOREA, None, "order_already_done", "", REFUSED, GONE),
    Row(KOREA, None, "insufficient_funds*", "", REFUSED, "balance", _BALANCE),
    Row(KOREA, None, "under_min_total*", "", REFUSED, "minimum", "the order is below the venue's minimum"),
    Row(H, None, "under_price_limit*", "", REFUSED, "minimum", "the order is below the venue's minimum"),
    Row(KOREA, None, "over_krw_funds*", "", REFUSED, "maximum", "the order is above the venue's maximum"),
    Row(KOREA, None, "invalid_price*", "", REFUSED, "filter", _GRID),
    Row(KOREA, None, "volume_too_large", "", REFUSED, "maximum", "the order is above the venue's maximum"),
    Row(KOREA, None, "too_many_orders", "", REFUSED, "maximum", "too many open orders"),
    Row(KOREA, None, "invalid_funds*", "", REFUSED, "filter", _GRID),
    Row(KOREA, None, "invalid_volume*", "", REFUSED, "filter", _GRID),
    Row(KOREA, None, "notfoundmarket", "", REFUSED, UNKNOWN_MARKET, "the market is not known"),
    Row(KOREA, None, "market_does_not_exist", "", REFUSED, UNKNOWN_MARKET, "the market is not known"),
    Row(KOREA, None, "market_offline", "", REFUSED, SUSPENDED, _MARKET),
    Row(KOREA, None, "trading_suspended", "", REFUSED, SUSPENDED, _MARKET),
    Row(H, None, "cross_trading", "", REFUSED, "self-trade", "it would have met an own order"),
    # The id was used before: an earlier attempt of ours may have got through.
    Row(KOREA, None, "duplicate_identifier", "", UNKNOWN, DUPLICATE),
    Row(KOREA, None, "invalid_identifier", "", UNKNOWN, DUPLICATE),
    Row(KOREA, None, "duplicated_client_order_id", "", UNKNOWN, DUPLICATE),
    Row(KOREA, None, "*", "identifier", UNKNOWN, DUPLICATE),
    Row(KOREA, 400, "create_ask_error", "", REFUSED),
    Row(KOREA, 400, "create_bid_error", "", REFUSED),
    Row(KOREA, 400, "validation_error", "", REFUSED),
    Row(KOREA, 400, "invalid_parameter*", "", REFUSED),
    Row(KOREA, 400, "400", "", REFUSED),
    Row(KOREA, 404, "404", "", REFUSED, UNKNOWN_MARKET, "the market is not known"),
    # --- whatever else
    Row(None, 401, None, "", REFUSED, "key", _KEY),
    Row(None, None, None, "", UNKNOWN),
)

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


def from_answer(
    venue: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> VenueError:
    """The error of an answer that says no. ``code`` and ``message`` are the venue's own, "" without."""
    row = next(row for row in TABLE if row.fits(venue, status, code, message))
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


def header(headers: Mapping[str, str], wanted: str) -> str:
    """A header's value whatever its case, "" without."""
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


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
