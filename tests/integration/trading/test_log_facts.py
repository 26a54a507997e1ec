"""Log lines say which strategy, order and tick they are about, whoever writes them and in whatever task."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from sigma_bot.health.logs import JsonFormatter
from sigma_bot.model.orders import State
from sigma_bot.venues.limiter import LocalLimiter
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture

BINANCE = pytest.mark.parametrize("scene", ["binance"], indirect=True)
venue_log = logging.getLogger("sigma_bot.venues.limiter")


class Lines:
    """What is logged, as a container's log has it."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def with_text(self, text: str) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in found if text in line["message"]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("sigma_bot")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield Lines(stream)
    logger.removeHandler(handler)
    logger.setLevel(level)


def facts(line: dict[str, object]) -> tuple[object, object, object]:
    return line.get("strategy"), line.get("order"), line.get("tick")


@BINANCE
async def test_lines_of_bot_order_path_and_venue(scene: Scene, lines: Lines, monkeypatch):  # noqa: F811
    """The answer is lost: the task that sends, the venue's calls in it and the lookup are of the tick and the
    order that began it, whatever has come since."""
    acquire = LocalLimiter.acquire

    async def logged(self, costs, urgent=False, deadline_ns=None):
        venue_log.info("acquired %s", "urgent" if deadline_ns is not None else "other")
        await acquire(self, costs, urgent, deadline_ns)

    monkeypatch.setattr(LocalLimiter, "acquire", logged)
    async with scene.bot():
        await scene.say(3)
        await scene.stand(State.OPEN)
        first = scene.seq
        scene.em.faults.add("order.create", "drop", when="after")
        await scene.say(1)
        second = scene.seq
        await scene.say(0)
        await scene.stand(State.OPEN, State.FILLED)

        async def published() -> bool:
            return bool(lines.with_text("fill sx-"))

        await scene.until(published)
    assert {facts(line)[0] for line in lines.with_text("")} == {"script"}
    assert [facts(line) for line in lines.with_text("acquired urgent")] == [
        ("script", 1, first),
        ("script", 2, second),
    ]
    assert [facts(line) for line in lines.with_text("no answer")] == [("script", 2, second)]
    assert {facts(line)[1] for line in lines.with_text("fill sx-")} == {2}
    assert all(facts(line)[2] for line in lines.with_text("fill sx-"))
    assert [facts(line)[1] for line in lines.with_text("reconciled:")] == [None]


async def test_two_bots_of_one_process_are_told_apart(scene: Scene, lines: Lines):  # noqa: F811
    async with scene.bot("one"), scene.bot("two"):
        await asyncio.sleep(0)
    assert {facts(line)[0] for line in lines.with_text("reconciled:")} == {"one", "two"}
