"""What is known of Bithumb beforehand, with the source of every value."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.venues.bithumb.errors import ROWS
from sigma_bot.venues.korean import errors as korean
from sigma_bot.venues.korean.rules import WON, bands, remaining
from sigma_bot.venues.types import Capabilities
from sigma_bot.venues.venue import Bucket, Preset, Venue

# Nine tenths of what the venue allows: 150 and 140 requests a second and address.
_BUCKETS = (Bucket("public", 135, 1000, "address"), Bucket("private", 126, 1000, "address"))

VENUE = Venue(
    name="bithumb",
    # Bithumb's help page on price steps as others read it (not seen itself). Fee without a coupon 0.25 %,
    # least order 5,000 won.
    preset=Preset(bands(("0", "0.0001"), ("1", "0.01")), Decimal("5000"), Decimal("0.0025"), quotes=WON),
    # apidocs.bithumb.com: as Upbit; client_order_id and ioc since 2026-06-30 (changelog; orders are found by
    # it
    #   at GET /v1/order). The form of the id was not found: ours keep to the strictest of the three venues.
    #   The token holds a time, but the pages read do not say how old it may be, so no window is relied on.
    capabilities=Capabilities(venue="bithumb", signed_window_ms=0, late_arrival_s=45.0),
    buckets=_BUCKETS,
    usage=remaining(_BUCKETS),
    errors=(*ROWS, *korean.ROWS),
    minimums={"BTC": "0.0002"},  # its fee page for the BTC market, as in ccxt
)
