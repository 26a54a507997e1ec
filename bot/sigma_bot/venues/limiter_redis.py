"""The limiter of all processes of a key and an address: the arithmetic of `limiter.Window` in one Redis
script, several buckets at once, all or nothing. The clock is Redis's own, one for all."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from sigma_bot.venues.errors import COUNTS
from sigma_bot.venues.limiter import Costs, LocalLimiter, ban_ms, pause
from sigma_bot.venues.registry import venue_of
from sigma_bot.venues.venue import Bucket

log = logging.getLogger(__name__)
SHARE = 0.1
"""Part of the limits that a process takes for its own while Redis is away: up to ten go on undisturbed."""
AWAY_S = 2.0
"""How long Redis is left alone after it failed."""
TIMEOUT_S = 0.5
"""Longest wait for Redis: an order waits for it."""

# KEYS: the ban, then one hash of slot -> units per bucket, in the order of the table in ARGV[1].
# ARGV: table of {window, slot, cost, allowed, told} as JSON; ban in ms; now in ms ("" = the server's clock).
# Gives ms to wait: 0 = taken, -1 = never. `told` is what the venue says is used: the difference is added
# first.
SCRIPT = """
local now = tonumber(ARGV[3])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local ban = tonumber(ARGV[2])
local banned = tonumber(redis.call('GET', KEYS[1]) or '0')
if ban > 0 and now + ban > banned then
  banned = now + ban
  redis.call('SET', KEYS[1], string.format('%.0f', banned), 'PX', ban)
end
local wait = math.max(0, banned - now)
local rows = cjson.decode(ARGV[1])
for i, row in ipairs(rows) do
  local key, held, used = KEYS[i + 1], {}, 0
  local oldest = math.floor((now - row.window) / row.slot)
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local slot, units = tonumber(all[j]), tonumber(all[j + 1])
    if slot < oldest then
      redis.call('HDEL', key, all[j])
    else
      used = used + units
      held[#held + 1] = {slot, units}
    end
  end
  local here = math.floor(now / row.slot)
  if row.told > used then
    redis.call('HINCRBY', key, string.format('%.0f', here), row.told - used)
    redis.call('PEXPIRE', key, row.window * 2)
    held[#held + 1] = {here, row.told - used}
    used = row.told
  end
  local excess = used + row.cost - row.allowed
  if row.cost > 0 and excess > 0 and wait >= 0 then
    table.sort(held, function(a, b) return a[1] < b[1] end)
    local free = -1
    for _, entry in ipairs(held) do
      excess = excess - entry[2]
      if excess <= 0 then
        free = (entry[1] + 1) * row.slot + row.window - now
        break
      end
    end
    wait = free < 0 and -1 or math.max(wait, free)
  end
end
if wait == 0 then
  for i, row in ipairs(rows) do
    if row.cost > 0 then
      local here = string.format('%.0f', math.floor(now / row.slot))
      redis.call('HINCRBY', KEYS[i + 1], here, row.cost)
      redis.call('PEXPIRE', KEYS[i + 1], row.window * 2)
    end
  end
end
return wait
"""


def keys_of(venue: str, key: str, address: str) -> list[str]:
    """The Redis keys: ban, then buckets. Counts by key belong to the account's key, others to the address."""
    owner = {"key": key, "address": address}
    buckets = [f"sigma.limit.{venue}.{owner[b.per]}.{b.name}" for b in venue_of(venue).buckets]
    return [f"sigma.limit.{venue}.{address}.ban", *buckets]


def table(buckets: tuple[Bucket, ...], costs: Costs, urgent: bool, told: Mapping[str, int]) -> str:
    """The script's first argument."""
    rows = [
        {
            "window": b.window_ms,
            "slot": b.slot_ms,
            "cost": costs.get(b.name, 0),
            "allowed": b.allowed(urgent),
            "told": min(told.get(b.name, 0), 10 * b.limit),
        }
        for b in buckets
    ]
    return json.dumps(rows)


class RedisLimiter:
    """See `Limiter`. ``key``: the fingerprint of the API key; ``address``: a name for the outgoing address,
    shared by all processes that the venue sees under it. Without Redis each process keeps to a tenth."""

    def __init__(self, venue: str, redis: Any, key: str, address: str = "here") -> None:
        self.venue = venue
        self._redis = redis
        self._keys = keys_of(venue, key, address)
        self._script = redis.register_script(SCRIPT)
        self._alone = LocalLimiter(venue, SHARE)
        self._away_until = 0.0
        self._told: dict[str, int] = {}

    async def acquire(self, costs: Costs, urgent: bool = False, deadline_ns: int | None = None) -> None:
        """See `Limiter`."""
        while time.monotonic() >= self._away_until:
            wait = await self._run(costs, urgent, 0)
            if wait is None:
                break
            if wait == 0:
                return
            await pause(self.venue, wait, deadline_ns)
        await self._alone.acquire(costs, urgent, deadline_ns)

    async def _run(self, costs: Costs, urgent: bool, ban: int) -> int | None:
        """The script; None when Redis does not answer."""
        from redis.exceptions import RedisError

        told, self._told = self._told, {}
        try:
            wait = await self._script(
                keys=self._keys, args=[table(venue_of(self.venue).buckets, costs, urgent, told), ban, ""]
            )
        except (RedisError, OSError, TimeoutError) as error:
            COUNTS[self.venue, "limiter-alone"] += 1
            self._away_until = time.monotonic() + AWAY_S
            log.warning("rate limiter: Redis is away (%s); keeping to a tenth", type(error).__name__)
            return None
        return int(wait)

    async def told(self, status: int, headers: Mapping[str, str]) -> None:
        """See `Limiter`. Counts go along with the next request; a ban is told to all at once."""
        for name, units in venue_of(self.venue).usage(headers).items():
            self._told[name] = max(units, self._told.get(name, 0))
        await self._alone.told(status, headers)
        ban = ban_ms(status, headers)
        if ban:
            await self._run({}, True, ban)

    async def close(self) -> None:
        """See `Limiter`."""
        await self._redis.aclose()


def connect(venue: str, url: str, key: str) -> RedisLimiter:
    """A limiter on the Redis at ``url``. Nothing is sent yet."""
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # Tried once: by itself the client would go on for seconds, and an order waits.
    client = redis.asyncio.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    return RedisLimiter(venue, client, key)
