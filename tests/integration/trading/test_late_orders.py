"""An order that the venue did not know turns up after all: it is adopted, and never rests unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sigma_bot.model.orders import State
from sigma_bot.trading import live_tasks
from sigma_bot.venues import ccxt_client
from sigma_bot.venues.upbit.private import UpbitClient
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture

LATE = pytest.mark.parametrize("scene", ["upbit"], indirect=True)
"""The venue without a window: a request that was held back is as good as a new one."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for briefly, and an order that is not found is soon given up."""
    monkeypatch.setattr(ccxt_client, "TIMEOUT_MS", 300)
    monkeypatch.setattr(live_tasks, "RECONCILE_S", 0.2)
    monkeypatch.setattr(UpbitClient, "capabilities", replace(UpbitClient.capabilities, late_arrival_s=0.3))


async def absent(scene: Scene, what: int):  # noqa: F811
    """An order is held back on its way until the bot has given it up; the fault that holds it."""
    held = scene.em.faults.add("order.create", "hold")
    await scene.say(what)
    await held.reached.wait()
    await scene.stand(State.NOT_FOUND)
    assert scene.runner.session.bot.decisions.broker.n_active == 0, "the strategy is told that it is gone"
    assert not scene.em.exchange.accounts["main"].orders
    return held


async def ends(scene: Scene, state: State) -> None:  # noqa: F811
    """Wait for the one order's end."""
    await scene.stand(state)
    [order] = scene.em.exchange.accounts["main"].orders
    assert order.status.value == state


@LATE
@pytest.mark.parametrize("told", [True, False], ids=["told by the stream", "found by asking"])
async def test_one_that_rests_is_cancelled(scene, told):  # noqa: F811
    async with scene.bot():
        held = await absent(scene, 3)
        if not told:
            scene.em.faults.add("event", "drop", times=0)
        held.release()
        await ends(scene, State.CANCELLED)
    await scene.ledger_is_the_venues()


@LATE
async def test_one_that_fills_is_booked(scene):  # noqa: F811
    async with scene.bot() as runner:
        held = await absent(scene, 1)
        held.release()
        await ends(scene, State.FILLED)
        assert not runner.session.bot.decisions.flat
        await scene.say(2)
        await scene.stand(State.FILLED, State.FILLED)
        assert runner.session.bot.decisions.flat
    await scene.ledger_is_the_venues()


@LATE
async def test_one_that_turns_up_while_the_bot_is_away_is_cancelled(scene):  # noqa: F811
    async with scene.bot():
        held = await absent(scene, 3)
    held.release()
    await scene.arrived()
    async with scene.bot():
        await ends(scene, State.CANCELLED)
    await scene.ledger_is_the_venues()
