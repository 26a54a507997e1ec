"""What goes to the venue of an order that is too large for it, or whose price it refuses yet. Pure."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import FOK, LIMIT, MARKET, Order
from sigma_bot.model.units import price_of, quantity_of
from sigma_bot.venues.types import VenueMarket

ABOVE_QUOTE = Decimal("1.02")
"""An order at market may be judged, or sent, at up to so much of the quote."""
MARGIN = Decimal("0.02")
"""Venues judge a price against an average that we do not know: ours has to fit so much beside the quote."""


def part_of(broker: Broker, o: Order, venue: VenueMarket | None) -> int:
    """Lots of an order that are sent now: all that is left of it, or one of equal parts that the venue takes.
    Fill-or-kill can't be parted."""
    left = int(o.remaining)
    if venue is None or o.tif == FOK:
        return left
    market = broker.markets[o.symbol]
    at_market = o.order_type == MARKET
    quote = price_of(market, market.ask if o.side > 0 else market.bid)
    price = quote * ABOVE_QUOTE if at_market else price_of(market, o.limit)
    largest = venue.sizes.largest(at_market, price)
    most = int(largest / quantity_of(market, 1))
    if not largest or left <= most or most <= 0:
        return left
    parts = -(-left // most)
    return -(-left // parts)


def waits_for_price(broker: Broker, o: Order, venue: VenueMarket | None) -> bool:
    """Whether an exit's limit is one that the venue would refuse at the present price. It is held by the bot
    until the market is near enough, rather than lost; what opens a position is for the venue to refuse."""
    market = broker.markets[o.symbol]
    if venue is None or o.order_type != LIMIT or market.lots * o.side >= 0:
        return False
    side, limit = ("buy" if o.side > 0 else "sell"), price_of(market, o.limit)
    price = price_of(market, market.mid)
    return not all(venue.prices.allows(side, limit, price * (1 + by)) for by in (-MARGIN, MARGIN))
