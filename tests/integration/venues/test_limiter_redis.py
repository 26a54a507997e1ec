"""The limiter on a real Redis: the script's arithmetic, and many processes at once."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from sigma_bot.venues import limiter_redis
from sigma_bot.venues.errors import COUNTS
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.limiter_redis import SCRIPT, RedisLimiter, connect, keys_of, table
from sigma_bot.venues.registry import VENUES
from sigma_bot.venues.types import TransientError


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_the_script_decides_as_the_arithmetic_does(client: redis.asyncio.Redis, seed: int) -> None:
    """The same requests at the same times, on a clock of the test's own."""
    chance, now = random.Random(seed), 1_700_000_000_000
    local, script = LocalLimiter("binance"), client.register_script(SCRIPT)
    keys = keys_of("binance", f"test-{seed}", f"address-{seed}")
    outcomes = set()
    for _ in range(400):
        now += chance.choice((0, 0, 1, 7, 60, 900, 4000))
        costs = {"weight": chance.choice((1, 20, 700)), "orders": chance.choice((0, 1, 8))}
        urgent = chance.random() < 0.3
        told = {"weight": chance.randrange(6000)} if chance.random() < 0.1 else {}
        for name, units in told.items():
            local._windows[name].correct(now, units)
        expected = local.step(now, {n: c for n, c in costs.items() if c}, urgent)
        got = await script(keys=keys, args=[table(VENUES["binance"].buckets, costs, urgent, told), 0, now])
        assert int(got) == expected
        outcomes.add(expected == 0)
    assert outcomes == {True, False}


async def test_a_ban_is_told_to_all_processes(client: redis.asyncio.Redis) -> None:
    key, address = uuid.uuid4().hex, uuid.uuid4().hex
    first, second = (RedisLimiter("binance", client, key, address) for _ in range(2))
    await second.acquire({"weight": 1})
    await first.told(418, {"Retry-After": "60"})
    with pytest.raises(TransientError) as held:
        await second.acquire({"weight": 1}, urgent=True)
    assert 50 < held.value.after <= 60


async def test_counts_of_a_key_are_not_those_of_another_and_of_an_address_are(
    client: redis.asyncio.Redis,
) -> None:
    address = uuid.uuid4().hex
    one, other = (RedisLimiter("binance", client, uuid.uuid4().hex, address) for _ in range(2))
    await one.acquire({"orders": 72, "weight": 4320})
    await other.acquire({"orders": 72})
    with pytest.raises(TransientError):
        await other.acquire({"weight": 1})


async def test_without_redis_a_process_keeps_to_a_small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = connect("binance", "redis://127.0.0.1:1", "key")
    before = COUNTS["binance", "limiter-alone"]
    await limiter.acquire({"orders": 7, "weight": 1})
    assert COUNTS["binance", "limiter-alone"] == before + 1
    with pytest.raises(TransientError):
        await limiter.acquire({"orders": 1, "weight": 1})
    assert COUNTS["binance", "limiter-alone"] == before + 1  # and Redis is left alone for a while
    monkeypatch.setattr(limiter_redis, "AWAY_S", 0.0)
    limiter._away_until = 0.0
    with pytest.raises(TransientError):
        await limiter.acquire({"orders": 1, "weight": 1})
    assert COUNTS["binance", "limiter-alone"] == before + 2
    await limiter.close()


WORKER = """
import asyncio, json, sys, time
import redis.asyncio
from sigma_bot.venues.limiter_redis import RedisLimiter
from sigma_bot.venues.types import TransientError

async def main(url, key, until):
    client = redis.asyncio.from_url(url)
    limiter, taken = RedisLimiter("upbit", client, key, key), []
    async def ask(urgent):
        while time.time() < until:
            try:
                await limiter.acquire({"default": 1}, urgent)
            except TransientError:
                continue
            taken.append((time.time_ns() // 1_000_000, urgent))
    await asyncio.gather(*(ask(n == 0) for n in range(4)))
    await limiter.close()
    print(json.dumps(taken))

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


async def test_several_processes_together_stay_below_the_limit(redis_url: str) -> None:
    key, until = uuid.uuid4().hex, time.time() + 4.0
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, redis_url, key, str(until), stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    outputs = [(await process.communicate())[0] for process in processes]
    taken = sorted(tuple(entry) for output in outputs for entry in json.loads(output))
    times = [at for at, _ in taken]
    # What is sent may be stamped late by a busy machine, so spans are taken a tenth shorter than a second.
    most = max(sum(end - 900 < at <= end for at in times) for end in times)
    assert most <= 30
    assert len(taken) > 27  # more than one window's worth went through
    assert any(urgent for _, urgent in taken)
