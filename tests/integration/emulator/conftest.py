"""Emulators and the real ccxt clients pointed at them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal as D

import pytest

from sigma_bot.emulator.server import Emulator


def binance_client(em: Emulator, **options):
    import ccxt.pro

    client = ccxt.pro.binance(
        {
            "apiKey": em.key,
            "secret": em.secret,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}},
            **options,
        }
    )
    web = em.url.replace("http", "ws")
    client.urls["api"].update({"public": f"{em.url}/api/v3", "private": f"{em.url}/api/v3"})
    client.urls["api"]["sapi"] = f"{em.url}/sapi/v1"
    client.urls["api"]["ws"].update({"spot": f"{web}/stream", "ws-api": {"spot": f"{web}/ws-api/v3"}})
    return client


def upbit_client(em: Emulator, **options):
    import ccxt.pro

    client = ccxt.pro.upbit({"apiKey": em.key, "secret": em.secret, "enableRateLimit": False, **options})
    client.urls["api"].update(
        {"public": em.url, "private": em.url, "ws": em.url.replace("http", "ws") + "/websocket/v1"}
    )
    return client


@asynccontextmanager
async def served(em: Emulator, make, **options):
    """The emulator and a client of it, with a book to trade against."""
    async with em:
        if em.venue == "binance":
            em.exchange.set_book(
                "BTCUSDT", {D(50000): D(1), D(49999): D(2)}, {D(50001): D("0.5"), D(50002): D(2)}
            )
        else:
            em.exchange.set_book(
                "KRW-BTC",
                {D(67_000_000): D(1), D(66_999_000): D(2)},
                {D(67_001_000): D("0.5"), D(67_002_000): D(2)},
            )
        client = make(em, **options)
        try:
            yield em, client
        finally:
            await client.close()


@pytest.fixture
async def binance():
    async with served(Emulator("binance", ["BTCUSDT", "ETHUSDT"]), binance_client) as pair:
        yield pair


@pytest.fixture(params=["binance", "upbit"])
async def venue(request):
    make = binance_client if request.param == "binance" else upbit_client
    symbols = ["BTCUSDT"] if request.param == "binance" else ["KRW-BTC"]
    async with served(Emulator(request.param, symbols), make) as (em, client):
        await client.load_markets()
        yield em, client


@pytest.fixture
async def upbit():
    async with served(Emulator("upbit", ["KRW-BTC", "KRW-ETH"]), upbit_client) as pair:
        yield pair
