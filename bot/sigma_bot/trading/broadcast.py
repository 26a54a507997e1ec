"""What a bot publishes on the bus after each stored change. Losing a message loses nothing: the journal has
it, and the number of the commit tells a reader that one is missing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.model.messages import Body, BotMessage, bot_channel
from sigma_bot.model.orders import Change

log = logging.getLogger(__name__)
MAX_QUEUED = 10_000


class Broadcaster:
    """Publishes in the order of the commits, in a task of its own; what can't be sent is dropped and
    counted."""

    def __init__(self, bus: Bus, bot: str) -> None:
        self.bus, self.bot = bus, bot
        self.queue: asyncio.Queue[BotMessage] = asyncio.Queue(MAX_QUEUED)
        self.dropped = 0

    def publish(self, change: Change, commit: int) -> None:
        """Queue the messages of a stored change."""
        bodies: list[Body] = [*change.orders, *change.fills, *change.notices]
        for body in bodies:
            try:
                # a copy: the row of an order changes with its next report
                self.queue.put_nowait(BotMessage(self.bot, commit, replace(body)))
            except asyncio.QueueFull:
                self.dropped += 1

    async def run(self) -> None:
        """Send for ever."""
        channel = bot_channel(self.bot)
        while True:
            message = await self.queue.get()
            try:
                await self.bus.publish(channel, message.encode())
            except BusError as error:
                self.dropped += 1
                log.warning("broadcast: %s", error)
