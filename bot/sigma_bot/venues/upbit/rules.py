"""What is known of Upbit beforehand, with the source of every value."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.venues.korean.errors import ROWS
from sigma_bot.venues.korean.rules import WON, bands, remaining
from sigma_bot.venues.types import Capabilities
from sigma_bot.venues.venue import Bucket, Preset, Venue

# Nine tenths of what the venue allows: requests sent evenly may arrive bunched.
# docs.upbit.com/kr/reference/rate-limits: quotation 10 a second, address and group; exchange 30 a second;
# orders 12 a second (since 2026-08-21).
_BUCKETS = (
    Bucket("public", 9, 1000, "address"),
    Bucket("default", 27, 1000, "key"),
    Bucket("order", 10, 1000, "key"),
)

VENUE = Venue(
    name="upbit",
    # docs.upbit.com/kr/docs/krw-market-info, table in force since 2025-07-31, read in its version of
    # 2026-05-04; below 100 won as others read the same page. USDT/KRW and USDC/KRW have their own steps: give
    # priceBands. Fee of won markets 0.05 %, least order 5,000 won.
    preset=Preset(
        bands(
            ("0", "0.00000001"),
            ("0.00001", "0.0000001"),
            ("0.0001", "0.000001"),
            ("0.001", "0.00001"),
            ("0.01", "0.0001"),
            ("0.1", "0.001"),
            ("1", "0.01"),
            ("10", "0.1"),
        ),
        Decimal("5000"),
        Decimal("0.0005"),
        quotes=WON,
    ),
    # docs.upbit.com/kr/reference: order-create ("identifier": unique to the account, never to be used again,
    # also
    #   after the order has ended; orders since 2024-10-18), get-order (by identifier; trades[]), auth (a
    #   nonce, no time in the token, so an old request is as good as a new one).
    # A market buy is by money there (ord_type price); ours goes as a limit order, see `korean.bands`.
    # Fee 0.05 % in the quote currency, on top of a bid, out of the proceeds of an ask (krw-market-info).
    capabilities=Capabilities(
        venue="upbit",
        signed_window_ms=0,
        # No window: only the line and the venue's own queue can hold a request back. This is a guess on the
        # safe side, four times our longest wait for an answer; whatever turns up later is adopted.
        late_arrival_s=45.0,
    ),
    buckets=_BUCKETS,
    usage=remaining(_BUCKETS),
    errors=ROWS,
    # docs.upbit.com/kr/docs, pages btc-market-info and usdt-market-info
    minimums={"BTC": "0.00005", "USDT": "0.5"},
)
