"""What a bot publishes on the bus after each stored change. Losing a message loses nothing: the journal has
it, and the number of the commit tells a reader that one is missing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from decimal import Decimal

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.model.messages import BotMessage, bot_channel
from sigma_bot.model.orders import Change, State

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
        for kind, payload in messages_of(change):
            try:
                self.queue.put_nowait(BotMessage(self.bot, commit, kind, payload))
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


def messages_of(change: Change) -> list[tuple[str, dict[str, object]]]:
    """A change as (kind, payload): money and prices as text, times in ns."""
    out: list[tuple[str, dict[str, object]]] = []
    for order in change.orders:
        out.append(("intent" if order.state is State.INTENT else "order", _as_json(asdict(order))))
    out += [("fill", _as_json(asdict(fill))) for fill in change.fills]
    out += [(notice.kind, _as_json(asdict(notice))) for notice in change.notices]
    return out


def _as_json(values: dict[str, object]) -> dict[str, object]:
    return {name: f"{v:f}" if isinstance(v, Decimal) else v for name, v in values.items()}
