"""What a bot tells on the bus: every stored change, as the journal holds it."""

from __future__ import annotations

import asyncio

import msgpack
import pytest

from sigma_bot.model.messages import BotMessage, bot_channel, decode_bot_message
from sigma_bot.model.orders import State
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture


async def test_a_reader_learns_what_the_journal_holds(scene: Scene):  # noqa: F811
    told: list[BotMessage] = []

    async def listen() -> None:
        async with scene.bus.subscribe(bot_channel("script")) as messages:
            async for _, payload in messages:
                told.append(decode_bot_message(payload))

    def ended() -> bool:
        return sum(m.kind == "order" and m.body.state is State.FILLED for m in told) == 2

    listening = asyncio.create_task(listen())
    try:
        async with scene.bot():
            for what in (1, 2):
                await scene.say(what)
                await scene.stand(*[State.FILLED] * what)
            await scene.journal.control("strategy", "script", "halt", "enough", by="me", now=1)
            async with asyncio.timeout(60):
                while not ended() or not any(m.kind == "state" for m in told):
                    await asyncio.sleep(0.01)
                await scene.say(3)
                while not any(m.kind == "rejection" for m in told):
                    await asyncio.sleep(0.01)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    stored = await scene.journal.changes_since("script", 0)
    assert {m.bot for m in told} == {"script"}
    assert [m.commit for m in told] == sorted(m.commit for m in told)
    assert {m.kind for m in told} >= {"intent", "order", "fill", "rejection", "state"}
    assert [m.body for m in told if m.kind == "fill"] == [e.row for e in stored.fills]
    last = {m.body.client_id: m.body for m in told if m.kind in ("intent", "order")}
    assert last == {e.row.client_id: e.row for e in stored.orders}
    commits = {e.commit for e in (*stored.orders, *stored.fills, *stored.notices)}
    assert commits <= {m.commit for m in told}


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", msgpack.packb(7), msgpack.packb((1, "b")), msgpack.packb((2, "b", 1, "fill", {}))],
)
def test_what_is_no_message_is_refused(payload):
    with pytest.raises(ValueError, match="bot message"):
        decode_bot_message(payload)
