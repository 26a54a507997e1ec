"""An order whose fate the venue does not tell needs review: it halts the bot until a human has looked."""

from __future__ import annotations

import pytest

from sigma_bot.journal import Filter
from sigma_bot.model.orders import State
from sigma_bot.trading import executor, live_tasks
from sigma_bot.venues import ccxt_client
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for briefly, and an order in doubt needs review after a second."""
    monkeypatch.setattr(ccxt_client, "TIMEOUT_MS", 300)
    monkeypatch.setattr(executor, "REVIEW_AFTER_S", 1.0)
    monkeypatch.setattr(live_tasks, "RECONCILE_S", 0.2)


def hush(scene: Scene) -> None:  # noqa: F811
    """The venue tells nothing of single orders any more."""
    scene.em.faults.add("event", "drop", times=0)
    scene.em.faults.add("order.get", "answer", status=503, body="<html>", times=0)


async def halted(scene: Scene) -> None:  # noqa: F811
    """Wait until the bot is halted for the order that needs review."""

    async def so() -> bool:
        return "settle it by hand" in (scene.runner.session.bot.progress.halted or "")

    await scene.until(so)
    assert [e.row.code for e in await scene.journal.notices(Filter("script")) if e.row.kind == "alert"] == [
        "needs-review"
    ]


async def test_an_answer_and_all_words_that_are_lost(scene):  # noqa: F811
    async with scene.bot() as runner:
        hush(scene)
        scene.em.faults.add("order.create", "drop", when="after")
        await scene.say(1)
        await scene.stand(State.NEEDS_REVIEW)
        await halted(scene)
        await scene.say(1)

        async def handled() -> bool:
            return runner.session.bot.progress.tick == scene.seq

        await scene.until(handled)
        assert await scene.states() == [State.NEEDS_REVIEW], "nothing is sent beside it"
        scene.em.faults.clear()
        await scene.stand(State.FILLED)
        assert runner.session.bot.progress.halted, "only a human resumes"
    await scene.ledger_is_the_venues()


async def test_an_order_that_was_on_its_way_when_the_bot_ended(scene):  # noqa: F811
    async with scene.bot():
        held = scene.em.faults.add("order.create", "hold")
        await scene.say(1)
        await held.reached.wait()
    assert await scene.states() == [State.INTENT]
    hush(scene)
    held.release()
    await scene.arrived()
    async with scene.bot():
        await scene.stand(State.NEEDS_REVIEW)
        await halted(scene)
        scene.em.faults.clear()
        await scene.stand(State.FILLED)
    await scene.ledger_is_the_venues()
