"""The venue of the feed's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.feed.feed_venue import FakeVenue


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeVenue]:
    venue = FakeVenue()
    runner = await venue.start()
    monkeypatch.setenv("SIGMA_VENUE_URL", venue.url)
    yield venue
    await runner.cleanup()
