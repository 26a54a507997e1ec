"""What each venue does with an order that comes late, with the source of every value, and of what the code of
its client takes for granted."""

from __future__ import annotations

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.venues.types import Capabilities

# binance/binance-spot-api-docs (a5e0bc3):
#   rest-api.md "Query order": origClientOrderId; "New order": newClientOrderId matches ^[a-zA-Z0-9-_]{1,36}$,
#   and "orders with the same newClientOrderID can be accepted only when the previous one is filled".
#   rest-api.md "Timing security": refused when older than recvWindow (default 5,000, at most 60,000 ms).
#   rest-api.md "New order" FULL: commissionAsset, which is what was received (or BNB).
#   wallet, "Get API Key Permission": enableWithdrawals.
BINANCE = Capabilities(
    venue="binance",
    # Ours, well below the default: it has to be shorter than the lease on a strategy.
    signed_window_ms=3000,
    # The window, and a second of grace on either side for the clocks.
    late_arrival_s=5.0,
)

# docs.upbit.com/kr/reference: order-create ("identifier": unique to the account, never to be used again, also
#   after the order has ended; orders since 2024-10-18), get-order (by identifier; trades[]), auth (a nonce,
#   no time in the token, so an old request is as good as a new one).
# A market buy is by money there (ord_type price); ours goes as a limit order, see `rules.market_buy_limit`.
# Fee 0.05 % in the quote currency, on top of a bid, out of the proceeds of an ask (krw-market-info).
UPBIT = Capabilities(
    venue="upbit",
    signed_window_ms=0,
    # No window: only the line and the venue's own queue can hold a request back. This is a guess on the safe
    # side, four times our longest wait for an answer; whatever turns up later is adopted.
    late_arrival_s=45.0,
)

# apidocs.bithumb.com: as Upbit; client_order_id and ioc since 2026-06-30 (changelog; orders are found by it
#   at GET /v1/order). The form of the id was not found: ours keep to the strictest of the three venues. The
#   token holds a time, but the pages read do not say how old it may be, so no window is relied on.
BITHUMB = Capabilities(
    venue="bithumb",
    signed_window_ms=0,
    late_arrival_s=45.0,
)

CAPABILITIES = {table.venue: table for table in (BINANCE, UPBIT, BITHUMB)}


def capabilities(venue: str) -> Capabilities:
    """The table of a venue. BadInputError names the nearest when there is none."""
    found = CAPABILITIES.get(venue)
    if found is None:
        known = ", ".join(sorted(CAPABILITIES))
        raise BadInputError(f"venue {venue!r} is not known{nearest(venue, CAPABILITIES)}; known: {known}")
    return found
