"""The table of errors, row by row: what certainly did not happen, and what nobody can tell."""

from __future__ import annotations

import csv
from pathlib import Path

import aiohttp
import pytest
from ccxt.base import errors as theirs

from sigma_bot.venues import errors
from sigma_bot.venues.error_rows import Row
from sigma_bot.venues.errors import CCXT, from_answer, from_exception, rows_of
from sigma_bot.venues.registry import VENUES
from sigma_bot.venues.types import RefusedError, TransientError, UnknownError, VenueError

CASES = [(venue, row) for venue in VENUES for row in rows_of(venue)]


def case(row: Row) -> tuple[int, str, str]:
    """The plainest answer that a row is about."""
    code = "" if row.code is None else row.code.replace("*", "99" if row.code.startswith("-") else "_bid")
    return row.status or 400, code, row.words


@pytest.mark.parametrize(("venue", "row"), CASES, ids=lambda x: getattr(x, "code", x) or "any")
def test_every_row_decides_its_own_case(venue: str, row: Row) -> None:
    status, code, words = case(row)
    first = next(r for r in rows_of(venue) if r.fits(status, code, words))
    assert first is row, f"{row} is never reached: {first} comes first"
    before = errors.COUNTS.copy()
    error = from_answer(venue, status, code, words)
    assert type(error) is row.kind.value
    assert error.code == (row.becomes or code or f"HTTP {status}")
    assert venue in str(error)
    assert errors.COUNTS.total() == before.total() + 1


REFUSED_FOR_SURE = [
    ("binance", 400, "-2010", "Account has insufficient balance for requested action.", "balance"),
    ("binance", 400, "-1013", "Filter failure: LOT_SIZE", "filter"),
    ("binance", 400, "-1111", "Precision is over the maximum defined for this asset.", "filter"),
    ("binance", 400, "-2011", "Unknown order sent.", "gone"),
    ("binance", 400, "-2013", "Order does not exist.", "absent"),
    ("binance", 401, "-2015", "Invalid API-key, IP, or permissions for action.", "key"),
    ("upbit", 400, "insufficient_funds_bid", "", "balance"),
    ("upbit", 400, "under_min_total_ask", "", "minimum"),
    ("upbit", 400, "invalid_price_bid", "", "filter"),
    ("upbit", 401, "expired_access_key", "", "key"),
    ("upbit", 401, "no_authorization_i_p", "", "address"),
    ("upbit", 401, "out_of_scope", "", "permission"),
    ("upbit", 401, "jwt_verification", "", "key"),
    ("upbit", 404, "order_not_found", "", "absent"),
    ("bithumb", 400, "under_price_limit_bid", "", "minimum"),
    ("bithumb", 401, "NotAllowIP", "", "address"),
    ("bithumb", 403, "blocked_member_id", "", "permission"),
    ("bithumb", 400, "invalid_price", "", "filter"),
]


@pytest.mark.parametrize(("venue", "status", "code", "message", "ours"), REFUSED_FOR_SURE)
def test_a_clear_no_is_refused(venue: str, status: int, code: str, message: str, ours: str) -> None:
    error = from_answer(venue, status, code, message)
    assert (type(error), error.code) == (RefusedError, ours)


@pytest.mark.parametrize(
    ("venue", "status", "code", "message"),
    [
        ("binance", 500, "", "<html>"),
        ("binance", 502, "", ""),
        ("binance", 504, "-1007", "Timeout"),
        ("binance", 200, "-1006", "An unexpected response was received"),
        ("binance", 400, "-1001", "Internal error"),
        ("binance", 400, "-2010", "Duplicate order sent."),
        ("binance", 302, "", ""),
        ("upbit", 500, "server_error", ""),
        ("upbit", 400, "never_heard_of", ""),
        ("upbit", 400, "duplicate_identifier", ""),
        ("bithumb", 422, "order_not_ready", ""),
        ("bithumb", 503, "", ""),
    ],
)
def test_what_is_not_understood_is_unknown(venue: str, status: int, code: str, message: str) -> None:
    assert type(from_answer(venue, status, code, message)) is UnknownError


@pytest.mark.parametrize(
    ("venue", "status", "code", "headers", "after"),
    [
        ("binance", 429, "-1003", {"Retry-After": "17"}, 17.0),
        ("binance", 418, "-1003", {"retry-after": "300"}, 300.0),
        ("binance", 418, "", {}, 120.0),
        ("binance", 400, "-1021", {}, 1.0),
        ("binance", 400, "-1015", {"Retry-After": "nonsense"}, 1.0),
        ("upbit", 429, "too_many_requests", {}, 1.0),
        ("upbit", 418, "", {"Retry-After": "9" * 50}, 120.0),
    ],
)
def test_what_may_work_later_says_when(
    venue: str, status: int, code: str, headers: dict[str, str], after: float
) -> None:
    error = from_answer(venue, status, code, "", headers)
    assert isinstance(error, TransientError)
    assert error.after == after


def test_every_code_of_binances_list_has_a_row_of_its_own(shared_data: Path) -> None:
    with (shared_data / "protocol" / "binance_spot_error_codes.csv").open() as file:
        listed = [(row["kind"], row["code"], row["text"]) for row in csv.DictReader(file)]
    codes = {(code, "") for kind, code, _ in listed if kind == "code"}
    codes |= {(code, text) for kind, code, text in listed if kind == "filter_failure"}
    codes |= {
        (code, text) for kind, _, text in listed if kind.startswith("message") for code in ("-2010", "-2011")
    }
    assert len(codes) > 150
    for code, text in codes:
        row = next(r for r in rows_of("binance") if r.fits(400, code, text))
        assert row.code is not None, f"{code} {text} falls through"


CLASSES = [c for c in vars(theirs).values() if isinstance(c, type) and issubclass(c, theirs.BaseError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_every_exception_of_ccxt_has_a_row(kind: type[Exception]) -> None:
    assert kind.__name__ in CCXT
    # Once written to the socket, only the venue's own words can make it certain.
    assert type(from_exception("upbit", kind("x"), sent=True)) is UnknownError
    unsent = from_exception("upbit", kind("x"), sent=False)
    if issubclass(kind, theirs.NetworkError | theirs.ExchangeClosedByUser):
        assert type(unsent) is TransientError
    else:
        assert unsent is None or type(unsent) is RefusedError


def test_ccxt_has_no_class_that_we_do_not_know() -> None:
    assert {c.__name__ for c in CLASSES} == set(CCXT)


@pytest.mark.parametrize(
    ("error", "sent", "expected"),
    [
        (ConnectionRefusedError(111, "refused"), False, TransientError),
        (ConnectionResetError(104, "reset"), True, UnknownError),
        (TimeoutError(), False, TransientError),
        (TimeoutError(), True, UnknownError),
        (aiohttp.ServerDisconnectedError(), True, UnknownError),
        (aiohttp.ClientPayloadError("cut"), True, UnknownError),
        (ValueError("of a library, after the answer"), True, UnknownError),
        (TypeError("ours, before anything was sent"), False, type(None)),
        (KeyError("ours"), False, type(None)),
    ],
)
def test_what_the_line_says(error: Exception, sent: bool, expected: type) -> None:
    assert type(from_exception("binance", error, sent)) is expected


def test_a_message_of_the_venue_is_shown_without_secrets_and_not_at_length() -> None:
    error: VenueError = from_answer(
        "binance", 400, "-9", "at /order?signature=abcdef123456&x=1 " + "z" * 5000
    )
    assert "abcdef123456" not in str(error)
    assert len(str(error)) < 500
