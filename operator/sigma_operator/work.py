"""A queue of resources to look at: each stands in it once, none is worked on twice at a time, failures come
back later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Key = tuple[str, str, str]  # kind, namespace and name

FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0  # seconds


class WorkQueue:
    """Keys that were woken. What is added while it is worked on is worked on once more afterwards."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def add(self, key: Key) -> None:
        """Wake `key` now."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: Key, delay: float) -> None:
        """Wake `key` after `delay` seconds, unless it is woken before."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def take(self) -> Key:
        """The next key; `done` must be called with it."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key, after: float | None) -> None:
        """Work on `key` ended well; look again in `after` seconds, None: only when woken."""
        self._failures.pop(key, None)
        self._finish(key, after)

    def failed(self, key: Key) -> float:
        """Work on `key` failed; it comes back after a growing delay, which is returned."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 20))
        self._finish(key, delay)
        return delay

    def _finish(self, key: Key, after: float | None) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif after is not None:
            self.add_later(key, after)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._working)


async def work(
    queue: WorkQueue,
    reconcile: Callable[[Key], Awaitable[float | None]],
    report: Callable[[Key, Exception, float], None],
) -> None:
    """Take keys for ever. A reconcile that raises is reported and tried again later; it never ends the
    worker."""
    while True:
        key = await queue.take()
        try:
            after = await reconcile(key)
        except Exception as error:  # noqa: BLE001 - one resource's trouble must not stop the others
            report(key, error, queue.failed(key))
        else:
            queue.done(key, after)
