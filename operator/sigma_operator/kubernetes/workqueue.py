"""The workqueue: keys of resources to reconcile. Each is queued once, none is reconciled twice at a time,
urgent ones come first, failed ones are retried with back-off."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from sigma_bot.retry import Backoff

Key = tuple[str, str, str]  # kind, namespace and name

BACKOFF = Backoff(0.5, maximum=60.0)


class WorkQueue:
    """Keys to reconcile. One that is added while it is processed is queued once more afterwards. Urgent is
    what happened to a pod: it must not wait for hundreds of resources that were applied at once."""

    def __init__(self) -> None:
        self._ready: asyncio.PriorityQueue[tuple[bool, int, Key]] = asyncio.PriorityQueue()
        self._numbers = itertools.count()  # first come, first served
        self._queued: dict[Key, bool] = {}  # whether it is urgent
        self._processing: set[Key] = set()
        self._dirty: dict[Key, bool] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def add(self, key: Key, urgent: bool = False) -> None:
        """Queue `key` now."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._processing:
            self._dirty[key] = urgent or self._dirty.get(key, False)
        elif key not in self._queued or (urgent and not self._queued[key]):
            self._queued[key] = urgent
            self._ready.put_nowait((not urgent, next(self._numbers), key))

    def add_after(self, key: Key, delay: float) -> None:
        """Queue `key` after `delay` seconds, unless it is queued before."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> Key:
        """The next key; `done` must be called with it."""
        while True:
            _, _, key = await self._ready.get()
            if self._queued.pop(key, None) is not None:  # else it was taken by its urgent entry
                self._processing.add(key)
                return key

    def done(self, key: Key, after: float | None) -> None:
        """Processing `key` succeeded; requeue it after `after` seconds, None: only when it is added."""
        self._failures.pop(key, None)
        self._finish(key, after)

    def failed(self, key: Key) -> float:
        """Processing `key` failed; it is requeued after a growing delay, which is returned."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = BACKOFF.delay(failures)
        self._finish(key, delay)
        return delay

    def _finish(self, key: Key, after: float | None) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self.add(key, self._dirty.pop(key))
        elif after is not None:
            self.add_after(key, after)

    def __len__(self) -> int:
        return len(self._queued) + len(self._processing)


async def run_worker(
    queue: WorkQueue,
    reconcile: Callable[[Key], Awaitable[float | None]],
    on_error: Callable[[Key, Exception, float], None],
) -> None:
    """Process keys until cancelled. A reconcile that raises is reported and retried; it never ends the
    worker."""
    while True:
        key = await queue.get()
        try:
            after = await reconcile(key)
        except Exception as error:  # noqa: BLE001 - one resource's error must not stop the others
            on_error(key, error, queue.failed(key))
        else:
            queue.done(key, after)
