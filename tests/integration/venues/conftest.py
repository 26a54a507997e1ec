"""A scripted venue and keys for the tests of the venue clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sigma_bot.venues.keys import Keys
from tests.integration.venues.scripted_venue import VenueServer


@pytest.fixture
async def venue_server() -> AsyncIterator[VenueServer]:
    """A server on a free port, stopped at the end."""
    server = VenueServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
def keys() -> Keys:
    """A key and a secret that no venue knows."""
    return Keys("test-api-key-0123456789", "test-api-secret-0123456789")
