"""Bithumb, one account, by its API of 2026 (v1 and v2 paths beside each other)."""

from __future__ import annotations

import time

from sigma_bot.venues.bithumb.rules import VENUE
from sigma_bot.venues.client import Endpoint
from sigma_bot.venues.korean.messages import Dialect
from sigma_bot.venues.korean.private import Endpoints, KoreaClient

_PATHS = Endpoints(
    accounts=Endpoint("private_get_v1_accounts", {"private": 1}),
    chance=Endpoint("private_get_v1_orders_chance", {"private": 1}),
    create=Endpoint("private_post_v2_orders", {"private": 1}),
    cancel=Endpoint("private_delete_v2_order", {"private": 1}, urgent=True),
    find=Endpoint("private_get_v1_order", {"private": 1}, urgent=True),
    open_orders=Endpoint("private_get_v1_orders", {"private": 1}, urgent=True),
    markets=Endpoint("public_get_v1_market_all", {"public": 1}),
    ticker=Endpoint("public_get_v1_ticker", {"public": 1}),
    instruments=None,
    test=None,
    open_params={"state": "wait"},
)


DIALECT = Dialect("bithumb", "client_order_id", "order_type", "order_id")


class BithumbClient(KoreaClient):
    """See `VenueClient`. Symbols as in KRW-BTC."""

    capabilities = VENUE.capabilities
    _dialect = DIALECT
    _paths = _PATHS
    _socket = "wss://ws-api.bithumb.com/websocket/v2/private"
    _socket_path = "/websocket/v2/private"

    def _claims(self) -> dict[str, object]:
        return {"timestamp": time.time_ns() // 1_000_000}


CLIENT = BithumbClient
