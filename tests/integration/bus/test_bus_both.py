"""What both buses promise: the same tests over Redis and in-process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sigma_bot.bus import Bus, BusError, GapError, open_bus


@pytest.fixture(params=["redis", "memory", "spool"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else "memory://"
    opened = open_bus(url, tmp_path / "spool" if request.param == "spool" else None)
    yield opened
    await opened.close()


@pytest.fixture
def log() -> str:
    """A name of its own: the Redis server is shared."""
    return f"sigma.ticks.{secrets.token_hex(6)}"


async def test_a_message_reaches_every_listener_of_its_channel_alone(bus: Bus, log: str) -> None:
    async with bus.subscribe(log, f"{log}.b") as first, bus.subscribe(log) as second:
        await bus.publish(f"{log}.other", b"no")
        await bus.publish(log, b"one")
        await bus.publish(f"{log}.b", b"\x00\xff")
        assert [await anext(first), await anext(first)] == [(log, b"one"), (f"{log}.b", b"\x00\xff")]
        await bus.publish(log, b"two")
        assert [await anext(second), await anext(second)] == [(log, b"one"), (log, b"two")]


async def test_publish_without_listeners_is_no_error(bus: Bus, log: str) -> None:
    await bus.publish(log, b"nobody hears")


async def test_an_entry_is_kept_and_told(bus: Bus, log: str) -> None:
    async with bus.subscribe(log) as heard:
        await bus.append(log, 7, b"seven")
        await bus.append(log, 8, b"eight")
        assert [await anext(heard), await anext(heard)] == [(log, b"seven"), (log, b"eight")]
    assert await bus.last(log) == (8, b"eight")
    assert await bus.read(log, -1) == [(7, b"seven"), (8, b"eight")]
    assert await bus.read(log, 7) == [(8, b"eight")]
    assert await bus.read(log, 8) == []


async def test_an_empty_log_has_no_entries(bus: Bus, log: str) -> None:
    assert await bus.last(log) is None
    assert await bus.read(log, -1) == []


async def test_reading_is_limited_and_goes_on(bus: Bus, log: str) -> None:
    for seq in range(1, 26):
        await bus.append(log, seq, b"%d" % seq)
    seen: list[tuple[int, bytes]] = []
    while page := await bus.read(log, seen[-1][0] if seen else -1, limit=10):
        assert len(page) <= 10
        seen += page
    assert seen == [(seq, b"%d" % seq) for seq in range(1, 26)]


async def test_numbers_begin_at_one(bus: Bus, log: str) -> None:
    with pytest.raises(ValueError, match="begin at 1, got 0"):
        await bus.append(log, 0, b"x")


async def test_an_entry_that_is_there_is_ignored_and_not_told_again(bus: Bus, log: str) -> None:
    await bus.append(log, 1, b"a")
    await bus.append(log, 2, b"b")
    async with bus.subscribe(log) as heard:
        await bus.append(log, 1, b"other")
        await bus.append(log, 2, b"other")
        await bus.append(log, 3, b"c")
        assert await anext(heard) == (log, b"c")
    assert await bus.read(log, -1) == [(1, b"a"), (2, b"b"), (3, b"c")]


async def test_a_hole_is_refused_and_changes_nothing(bus: Bus, log: str) -> None:
    await bus.append(log, 1, b"a")
    with pytest.raises(GapError, match="append 2 first") as refused:
        await bus.append(log, 3, b"c")
    assert refused.value.last == 1
    assert await bus.last(log) == (1, b"a")


async def test_logs_do_not_mix(bus: Bus, log: str) -> None:
    await bus.append(log, 1, b"a")
    await bus.append(f"{log}/x", 5, b"b")
    assert await bus.last(log) == (1, b"a")
    assert await bus.last(f"{log}/x") == (5, b"b")


async def test_wants_are_said_changed_and_taken_back(bus: Bus, log: str) -> None:
    assert await bus.wanted(log) == {}
    await bus.want(log, "bot-a", ["KRW-BTC"], 60)
    await bus.want(log, "bot-b", ["KRW-ETH", "KRW-BTC"], 60)
    await bus.want(log, "bot-a", ["KRW-XRP"], 60)
    assert await bus.wanted(log) == {"bot-a": ["KRW-XRP"], "bot-b": ["KRW-ETH", "KRW-BTC"]}
    await bus.want(log, "bot-b", [], 60)
    assert await bus.wanted(log) == {"bot-a": ["KRW-XRP"]}
    assert await bus.wanted(f"{log}.other") == {}


async def test_a_want_ends_by_itself(bus: Bus, log: str) -> None:
    await bus.want(log, "gone", ["KRW-BTC"], 0.001)
    await bus.want(log, "stays", ["KRW-BTC"], 60)
    async with asyncio.timeout(30):
        while set(await bus.wanted(log)) != {"stays"}:
            await asyncio.sleep(0.001)


async def test_two_listeners_may_come_and_go(bus: Bus, log: str) -> None:
    async with bus.subscribe(log):
        pass
    async with bus.subscribe(log) as heard:
        await bus.publish(log, b"x")
        assert await anext(heard) == (log, b"x")


async def test_a_closed_bus_says_so(tmp_path: Path) -> None:
    bus = open_bus("memory://", tmp_path)
    async with bus.subscribe("a") as heard:
        await bus.append("log", 1, b"x")
        await bus.close()
        with pytest.raises(BusError, match="closed"):
            await anext(heard)
    with pytest.raises(BusError, match="closed"):
        await bus.publish("a", b"x")
