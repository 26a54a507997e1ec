"""Binance spot's errors (errors.md of binance-spot-api-docs)."""

from __future__ import annotations

from sigma_bot.venues.error_rows import (
    ABSENT,
    BALANCE,
    CLOCK,
    CLOCKS_DIFFER,
    DUPLICATE,
    GONE,
    NO_BALANCE,
    NO_PERMISSION,
    NOT_TRADING,
    OFF_GRID,
    REFUSED,
    SUSPENDED,
    TRANSIENT,
    UNKNOWN,
    UNKNOWN_KEY,
    UNKNOWN_MARKET,
    WRONG_SECRET,
    Row,
)

_BINANCE_KEY = (
    "the API key is wrong or expired, this machine's address is not on its list, or it may not trade: "
    "check these three at Binance"
)
ROWS: tuple[Row, ...] = (
    Row(None, "-1003", "", TRANSIENT, "rate-limit", "asked too often"),
    Row(None, "-1015", "", TRANSIENT, "rate-limit", "too many orders"),
    Row(None, "-1034", "", TRANSIENT, "rate-limit", "too many connections"),
    Row(None, "-1008", "", TRANSIENT, "busy", "the venue is overloaded and did not take it"),
    Row(None, "-1021", "", TRANSIENT, CLOCK, CLOCKS_DIFFER),
    Row(None, "-1022", "", REFUSED, "key", WRONG_SECRET),
    Row(None, "-2014", "", REFUSED, "key", UNKNOWN_KEY),
    Row(None, "-2015", "", REFUSED, "key", _BINANCE_KEY),
    Row(None, "-1002", "", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-1000", "", UNKNOWN),
    Row(None, "-1001", "", UNKNOWN),
    Row(None, "-1006", "", UNKNOWN),
    Row(None, "-1007", "", UNKNOWN),
    Row(409, None, "", UNKNOWN),
    Row(None, "-1121", "", REFUSED, UNKNOWN_MARKET, "the market is not known"),
    Row(None, "-1122", "", REFUSED, SUSPENDED, NOT_TRADING),
    Row(None, "-2016", "", REFUSED, SUSPENDED, NOT_TRADING),
    Row(None, "-1013", "market is closed", REFUSED, SUSPENDED, NOT_TRADING),
    Row(None, "-2013", "", REFUSED, ABSENT),
    Row(None, "-2026", "", REFUSED, ABSENT, "the order is older than 90 days and without a fill"),
    Row(None, "-2011", "not canceled due to", REFUSED),
    Row(None, "-2011", "may not place or cancel", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-2011", "", REFUSED, GONE),
    # The one "rejection" that says an order of this id is there.
    Row(None, "-2010", "duplicate order", UNKNOWN, DUPLICATE),
    Row(None, "-2010", "insufficient balance", REFUSED, BALANCE, NO_BALANCE),
    Row(None, "-2010", "market is closed", REFUSED, SUSPENDED, NOT_TRADING),
    Row(None, "-2010", "may not place", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-2010", "disabled on this account", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-2010", "not permitted for this account", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-2010", "restricted for this account", REFUSED, "permission", NO_PERMISSION),
    Row(None, "-2010", "immediately match", REFUSED, "would-take", "post-only, and it would have taken"),
    Row(None, "-2010", "", REFUSED),
    Row(None, "-1010", "duplicate order", UNKNOWN, DUPLICATE),
    Row(None, "-1010", "", REFUSED),
    Row(None, "-1013", "", REFUSED, "filter", OFF_GRID),
    Row(None, "-1111", "", REFUSED, "filter", OFF_GRID),
    Row(None, "-1014", "", REFUSED),
    Row(None, "-1016", "", REFUSED, "", "the venue no longer offers this"),
    Row(None, "-1020", "", REFUSED),
    Row(None, "-1033", "", REFUSED),
    Row(None, "-1035", "", REFUSED),
    Row(None, "-1099", "", REFUSED),
    # -1100 to -1299 say that the request itself is malformed.
    Row(None, "-11*", "", REFUSED),
    Row(None, "-12*", "", REFUSED),
    Row(None, "-2035", "", REFUSED),
    Row(None, "-2036", "", REFUSED),
    Row(None, "-2039", "", REFUSED, ABSENT),
    Row(None, "-2042", "", REFUSED),
    Row(None, "-2043", "", REFUSED),
    # Cancel-replace, which we never use: it may have done half of it.
    Row(None, "-2021", "", UNKNOWN),
    Row(None, "-2022", "", UNKNOWN),
    # A firewall's page has no code; nothing behind it saw the request.
    Row(403, "", "", TRANSIENT, "firewall", "the venue's firewall turned the request away"),
    Row(451, None, "", REFUSED, "permission", "the venue does not serve this country"),
)
