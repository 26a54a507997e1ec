"""What is known of Binance beforehand, with the source of every value."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sigma_bot.venues.binance.errors import ROWS
from sigma_bot.venues.types import Capabilities
from sigma_bot.venues.venue import Bucket, Preset, Venue, header, is_count

# Nine tenths of what the venue allows: requests sent evenly may arrive bunched. exchangeInfo.rateLimits:
# REQUEST_WEIGHT 6,000 a minute and address, ORDERS 100 in 10 s an account.
_BUCKETS = (Bucket("weight", 5400, 60_000, "address"), Bucket("orders", 90, 10_000, "key"))
_USED = {"weight": "x-mbx-used-weight-1m", "orders": "x-mbx-order-count-10s"}


def _usage(headers: Mapping[str, str]) -> dict[str, int]:
    return {bucket: int(v) for bucket, name in _USED.items() if is_count(v := header(headers, name))}


VENUE = Venue(
    name="binance",
    # Spot: steps differ by symbol and must be given. Fee of an ordinary account 0.1 %, least order 5 of the
    # quote currency in most markets (filter NOTIONAL).
    preset=Preset(
        (),
        Decimal("5"),
        Decimal("0.001"),
        missing={
            "tickSize": "on Binance it differs by symbol (filter PRICE_FILTER of exchangeInfo)",
            "lotSize": "on Binance it differs by symbol (LOT_SIZE in exchangeInfo)",
        },
    ),
    # binance/binance-spot-api-docs (a5e0bc3):
    #   rest-api.md "Query order": origClientOrderId; "New order": newClientOrderId matches
    #   ^[a-zA-Z0-9-_]{1,36}$, and "orders with the same newClientOrderID can be accepted only when the
    #   previous one is filled". rest-api.md "Timing security": refused when older than recvWindow (default
    #   5,000, at most 60,000 ms). rest-api.md "New order" FULL: commissionAsset, which is what was received
    #   (or BNB). wallet, "Get API Key Permission": enableWithdrawals.
    capabilities=Capabilities(
        venue="binance",
        # Ours, well below the default: it has to be shorter than the lease on a strategy.
        signed_window_ms=3000,
        # The window, and a second of grace on either side for the clocks.
        late_arrival_s=5.0,
    ),
    buckets=_BUCKETS,
    usage=_usage,
    errors=ROWS,
)
