"""The users that the chart gives Redis, and the product's own bus and limiter as each of them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import yaml

from sigma_bot.bus import BusError, open_bus
from sigma_bot.venues.limiter_redis import connect

ROOT = Path(__file__).resolve().parents[3]
LOG = "sigma.ticks.upbit"


def rendered() -> dict[str, dict[str, str]]:
    """The Secrets of the chart by name."""
    from tests.cluster.onenode.tools import clients

    command = [clients() / "helm", "template", "x", ROOT / "charts" / "redis"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # type: ignore[arg-type]
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    return {found["metadata"]["name"]: found["stringData"] for found in objects if found["kind"] == "Secret"}


@pytest.fixture
async def urls(redis_url: str) -> AsyncIterator[dict[str, str]]:
    """Addresses by role, on a Redis with the chart's users beside the default one."""
    secrets = rendered()
    admin: Any = redis.asyncio.from_url(redis_url)
    users = [line.split() for line in secrets["x-redis-users"]["users.acl"].splitlines()]
    users = [words for words in users if words[1] != "default"]
    for _, name, *rules in users:
        await admin.execute_command("ACL", "SETUSER", name, "reset", *rules)
    host = redis_url.partition("://")[2]
    yield {name: f"redis://{name}:{secrets['x-redis'][name]}@{host}" for _, name, *_ in users}
    await admin.execute_command("ACL", "DELUSER", *(name for _, name, *_ in users))
    await admin.delete(LOG)
    await admin.aclose()


async def test_a_feed_sends_what_a_bot_reads(urls: dict[str, str]) -> None:
    feed, bot = open_bus(urls["feed"]), open_bus(urls["bot"])
    try:
        async with bot.subscribe(LOG, "sigma.control") as heard:
            await feed.append(LOG, 1, b"batch")
            assert await anext(heard) == (LOG, b"batch")
        assert await bot.read(LOG, 0) == [(1, b"batch")]
        assert await bot.last(LOG) == (1, b"batch")
        assert await feed.last(LOG) == (1, b"batch")
        await bot.want("upbit", "ema-cross", ["KRW-BTC"], 5)
        assert await feed.wanted("upbit") == {"ema-cross": ["KRW-BTC"]}
        await bot.publish("sigma.bot.ema-cross", b"order")
        async with feed.subscribe("sigma.history.upbit") as asked:
            await bot.publish("sigma.history.upbit", b"request")
            assert await anext(asked) == ("sigma.history.upbit", b"request")
        with pytest.raises(BusError):
            await bot.append(LOG, 2, b"forged")
    finally:
        await feed.close()
        await bot.close()


@pytest.mark.parametrize("role", ["bot", "feed"])
@pytest.mark.parametrize("venue", ["upbit", "binance"])
async def test_the_limiter_is_shared(urls: dict[str, str], role: str, venue: str) -> None:
    from sigma_bot.venues.errors import COUNTS
    from sigma_bot.venues.registry import VENUES

    before = COUNTS[venue, "limiter-alone"]
    limiter = connect(venue, urls[role], "key")
    try:
        await limiter.acquire({VENUES[venue].buckets[0].name: 1})
    finally:
        await limiter.close()
    assert COUNTS[venue, "limiter-alone"] == before, "it went on without Redis"


async def test_a_role_reaches_nothing_else(urls: dict[str, str]) -> None:
    client: Any = redis.asyncio.from_url(urls["bot"])
    for command in (
        "SET foreign 1",
        "CONFIG GET dir",
        "FLUSHALL",
        "ACL LIST",
        "KEYS *",
        f"DEL {LOG}",
        "SHUTDOWN",
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            await client.execute_command(*command.split())
    await client.aclose()
