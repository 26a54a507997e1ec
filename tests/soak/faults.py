"""What goes wrong, at random."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.soak.stage import Bot, Stage

# longer than a lease, so that the frozen bot finds it lost
FROZEN_S = 12.0
VENUE_FAULTS: tuple[dict[str, object], ...] = (
    {"on": "order.create", "action": "drop", "when": "after"},
    {"on": "order.create", "action": "drop", "when": "before"},
    {"on": "order.create", "action": "answer", "status": 503, "when": "after"},
    {"on": "order.create", "action": "answer", "status": 503, "when": "before"},
    {"on": "order.create", "action": "delay", "seconds": 2, "when": "after"},
    {"on": "order.create", "action": "answer", "status": 200, "body": '{"broken', "when": "after"},
    {"on": "order.create", "action": "limit", "seconds": 1},
    {"on": "order.cancel", "action": "drop", "when": "after"},
    {"on": "order.get", "action": "answer", "status": 500},
    {"on": "account", "action": "answer", "status": 502},
    {"on": "event", "action": "duplicate", "times": 5},
    {"on": "event", "action": "drop", "times": 3},
    {"on": "event", "action": "delay", "seconds": 1, "times": 3},
    {"on": "event", "action": "swap", "times": 2},
    {"on": "event", "action": "cut"},
    {"on": "public.trade", "action": "cut"},
    {"on": "public.book", "action": "answer", "body": "\u0000garbage"},
)


class Faults:
    """Breaks something every few seconds until cancelled; everything it broke it mends again."""

    def __init__(self, stage: Stage, every_s: float) -> None:
        self.stage, self.every_s, self.rng = stage, every_s, stage.rng
        self.done: Counter[str] = Counter()
        self.later: set[asyncio.Task[None]] = set()
        self.kinds: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (10, self.venue),
            (5, self.kill_bot),
            (2, self.stop_bot),
            (2, self.freeze_bot),
            (2, self.kill_feed),
            (2, self.cut),
            (1, self.kill_redis),
            (1, self.kill_postgres),
        ]

    async def run(self) -> None:
        weights = [weight for weight, _ in self.kinds]
        while True:
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.every_s)
            [(_, kind)] = self.rng.choices(self.kinds, weights)
            self.done[await kind()] += 1

    async def mend(self) -> None:
        """Wait for what is still broken, and take the venue's faults away."""
        await asyncio.gather(*self.later)
        for venue in self.stage.venues:
            await asyncio.to_thread(self.stage.admin, venue, "DELETE", "faults")

    def _bot(self) -> Bot | None:
        running = [bot for bot in self.stage.bots if bot.running and not bot.frozen]
        return self.rng.choice(running) if running else None

    def _then(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.later.add(task)
        task.add_done_callback(self.later.discard)

    async def venue(self) -> str:
        fault = self.rng.choice(VENUE_FAULTS)
        venue = self.rng.choice(list(self.stage.venues))
        await asyncio.to_thread(self.stage.admin, venue, "POST", "faults", dict(fault))
        return f"venue: {fault['on']} {fault['action']} {fault.get('when', '')}".rstrip()

    async def kill_bot(self) -> str:
        if (bot := self._bot()) is None:
            return "nothing"
        await asyncio.to_thread(bot.end, signal.SIGKILL)
        bot.start()
        return "bot killed"

    async def stop_bot(self) -> str:
        if (bot := self._bot()) is None:
            return "nothing"
        code = await asyncio.to_thread(bot.end, signal.SIGTERM)
        bot.start()
        return "bot stopped" if code == 0 else f"bot stopped, exit code {code}"

    async def freeze_bot(self) -> str:
        if (bot := self._bot()) is None:
            return "nothing"
        bot.frozen = True
        bot.send(signal.SIGSTOP)

        async def thaw() -> None:
            await asyncio.sleep(FROZEN_S)
            bot.send(signal.SIGCONT)
            bot.frozen = False

        self._then(thaw())
        return "bot frozen"

    async def kill_feed(self) -> str:
        feed = self.rng.choice(list(self.stage.feeds.values()))
        await asyncio.to_thread(feed.end, signal.SIGKILL)
        feed.start()
        return "feed killed"

    async def cut(self) -> str:
        venue = self.rng.choice(list(self.stage.venues))
        await asyncio.to_thread(self.stage.admin, venue, "DELETE", "sockets")
        return "every WebSocket cut"

    async def kill_redis(self) -> str:
        await asyncio.to_thread(self.stage.redis.end, signal.SIGKILL)
        await asyncio.sleep(self.rng.uniform(0.1, 3))
        self.stage.redis.start()
        return "Redis killed, its memory lost"

    async def kill_postgres(self) -> str:
        # its children notice within moments; until they are gone it can't start again
        await asyncio.to_thread(self.stage.postgres.end, signal.SIGQUIT)
        await asyncio.sleep(self.rng.uniform(0.1, 3))
        self.stage.postgres.start()
        return "PostgreSQL killed"
