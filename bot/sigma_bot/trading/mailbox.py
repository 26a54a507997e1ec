"""A bot's mailbox: what came, in order, handed out in groups that one step can handle."""

from __future__ import annotations

import asyncio
from collections import deque

from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import NoticeRow
from sigma_bot.trading.events import ControlsPolled, ExecutionEvent
from sigma_bot.trading.ticks import Gap

MAX_GROUP = 200
"""Most items of a group: a step stays short."""
Item = TickBatch | Gap | ControlsPolled | NoticeRow | ExecutionEvent


class Mailbox:
    """A batch of ticks is a group of its own, since what a step stores is placed after one batch. Everything
    else that waits between two batches goes together: a burst of answers is one transaction, not fifty."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item."""
        self._items.append(item)
        self._filled.set()

    async def get(self) -> list[Item]:
        """Wait for the next group."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self.take()

    def take(self) -> list[Item]:
        """The next group; empty when nothing waits."""
        group: list[Item] = []
        while self._items and len(group) < MAX_GROUP:
            if isinstance(self._items[0], TickBatch):
                return group or [self._items.popleft()]
            group.append(self._items.popleft())
        return group
