"""Malformed and hostile messages of a venue: answers and events are real ones, spoilt at random. The bot
lives, the ledger is right, and every error is counted."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from sigma_bot.bus import open_bus
from sigma_bot.emulator.http import Answer
from sigma_bot.emulator.server import Emulator
from sigma_bot.journal import open_journal
from sigma_bot.model.orders import State
from sigma_bot.trading import live_tasks
from sigma_bot.venues.binance.private import BinanceClient
from sigma_bot.venues.errors import COUNTS
from sigma_bot.venues.upbit.private import UpbitClient
from tests.integration.trading.test_live_bot import VENUES, Scene
from tests.support import servers

ODD: tuple[Any, ...] = (
    None, True, "", 99999999999, "99999999999", "NaN", "Infinity", -1, "-0.01", "1e400", "9" * 300,
    10**40, [], {}, [[]], "\x00", "ß" * 50, "UNKNOWN_STATE", 1.5e300, "0x10", " 1", {"a": {"b": [1]}},
)  # fmt: skip


def spoil(text: str, rng: random.Random) -> str | bytes:
    """A message that can't be right any more."""
    kind = rng.randrange(8)
    if kind == 0:
        return text[: rng.randrange(len(text))]
    if kind == 1:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
    if kind == 2:
        return rng.choice(
            ["", "null", "[]", "{}", "0", '"x"', "[" * 2000, "{" * 2000, "nan", "<html>502</html>"]
        )
    value = json.loads(text)
    places = list(_places(value))
    if not places:
        return "[[]]"
    holder, key = rng.choice(places)
    if kind == 3 and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = rng.choice(ODD)
    return json.dumps(value)


def _places(value):
    """Every leaf of a JSON value, as what holds it and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, dict | list) and inner:
            yield from _places(inner)
        else:
            yield value, key


class Spoiler:
    """Stands between an emulated venue and its client. ``answers``, ``events``: the chances of each."""

    def __init__(self, em: Emulator, seed: int) -> None:
        self.rng, self.answers, self.events = random.Random(seed), 0.0, 0.0
        self.passed = self.spoilt = 0
        self.answer, self.send = em.protocol.answer, em.protocol.streams.hub._send
        em.protocol.answer = self.answered  # type: ignore[method-assign]
        em.protocol.streams.hub._send = self.sent  # type: ignore[method-assign]

    def answered(self, request) -> Answer:
        right = self.answer(request)
        self.passed += 1
        if self.rng.random() >= self.answers:
            return right
        self.spoilt += 1
        body = spoil(right.body if isinstance(right.body, str) else right.body.decode(), self.rng)
        return replace(right, body=body, status=self.rng.choice([right.status, right.status, 200, 500, 503]))

    def sent(self, frames) -> None:
        out = []
        for socket, frame in frames:
            if socket.account and self.rng.random() < self.events:
                self.spoilt += 1
                out += [(socket, spoil(frame if isinstance(frame, str) else frame.decode(), self.rng))]
                if self.rng.random() < 0.5:
                    continue  # in its place, else before it
            out.append((socket, frame))
        self.send(out)


@pytest.fixture
async def spoilt(request, tmp_path, monkeypatch):
    venue, seed = request.param
    monkeypatch.setattr(live_tasks, "RECONCILE_S", 0.2)
    for client in (BinanceClient, UpbitClient):
        monkeypatch.setattr(client, "capabilities", replace(client.capabilities, late_arrival_s=0.3))
    async with (
        Emulator(venue, [VENUES[venue][0]]) as em,
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
    ):
        bus = open_bus("memory://", tmp_path / "spool")
        scene = Scene(venue, em, bus, journal)
        scene.book(scene.price)
        yield scene, Spoiler(em, seed)
        await bus.close()


SEEDS = [(venue, seed) for venue in VENUES for seed in range(6)]


async def settled(scene) -> bool:
    """Whether journal and venue agree: what is only in memory may still be lost."""
    session = scene.runner.session
    if session is None or session.bot.adapter.gate.closed_reason or session.bot.progress.tick < scene.seq:
        return False
    rows = {row.client_id: row for row in await scene.orders()}
    if any(row.state in (State.INTENT, State.UNKNOWN, State.NEEDS_REVIEW) for row in rows.values()):
        return False
    ours = [o for o in scene.em.exchange.accounts["main"].orders if o.ticket.client_id.startswith("sx-")]
    living = {row.client_id for row in rows.values() if row.state in (State.OPEN, State.PARTIAL)}
    return all(rows[o.ticket.client_id].filled == o.executed for o in ours) and living == {
        o.ticket.client_id for o in ours if o.status.value == "open"
    }


@pytest.mark.parametrize("spoilt", SEEDS, indirect=True, ids=lambda p: f"{p[0]}-{p[1]}")
async def test_hostile_messages_change_nothing(spoilt):
    scene, spoiler = spoilt
    before = sum(COUNTS.values())
    async with scene.bot():
        for _ in range(6):
            spoiler.answers, spoiler.events = 0.15, 0.5
            for what in spoiler.rng.sample([1, 3, 3, 4, 2], 3):
                await scene.say(what)
            enough = spoiler.passed + 12
            async with asyncio.timeout(60):
                while spoiler.passed < enough:
                    await asyncio.sleep(0.02)
            spoiler.answers = spoiler.events = 0.0
            async with asyncio.timeout(60):
                while not await settled(scene):
                    await asyncio.sleep(0.02)
    await scene.ledger_is_the_venues()
    assert spoiler.spoilt > 0
    assert sum(COUNTS.values()) > before, "each is counted"
