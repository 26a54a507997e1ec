"""Upbit, one account."""

from __future__ import annotations

from sigma_bot.venues.client import Endpoint
from sigma_bot.venues.korean.messages import Dialect
from sigma_bot.venues.korean.private import Endpoints, KoreaClient
from sigma_bot.venues.upbit.rules import VENUE

# Groups of limits: docs.upbit.com/kr/reference/rate-limits.
_PATHS = Endpoints(
    accounts=Endpoint("private_get_accounts", {"default": 1}),
    chance=Endpoint("private_get_orders_chance", {"default": 1}),
    create=Endpoint("private_post_orders", {"order": 1}),
    cancel=Endpoint("private_delete_order", {"default": 1}, urgent=True),
    find=Endpoint("private_get_order", {"default": 1}, urgent=True),
    open_orders=Endpoint("private_get_orders_open", {"default": 1}, urgent=True),
    markets=Endpoint("public_get_market_all", {"public": 1}),
    ticker=Endpoint("public_get_ticker", {"public": 1}),
    instruments=Endpoint("public_get_orderbook_instruments", {"public": 1}),
    test=Endpoint("private_post_orders_test", {"order": 1}),
    open_params={"state": "wait"},
)


DIALECT = Dialect("upbit", "identifier", "ord_type", "uuid")


class UpbitClient(KoreaClient):
    """See `VenueClient`. Symbols as in KRW-BTC."""

    capabilities = VENUE.capabilities
    _dialect = DIALECT
    _paths = _PATHS
    _socket = "wss://api.upbit.com/websocket/v1/private"
    _socket_path = "/websocket/v1/private"


CLIENT = UpbitClient
