"""What goes wrong while a LIVE bot runs: the venue refuses, the bot tells it, loses nothing and goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from sigma_bot.journal import Filter
from sigma_bot.model.orders import State
from sigma_bot.trading import live_tasks
from sigma_bot.trading import runner as runner_module
from sigma_bot.trading.bot import RestartError
from sigma_bot.trading.events import TaskFailed
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture

D = Decimal
BEHIND = 4_000_000_000
"""ns by which the venue is ahead of us: more than Binance's window and our own bound."""
WINDOW = pytest.mark.parametrize("scene", ["binance"], indirect=True)
"""The venue that refuses requests out of their time by itself."""


async def newest(scene: Scene) -> str:  # noqa: F811
    """The reason of the newest order."""
    return (await scene.orders())[0].reason


async def notice(scene: Scene, kind: str, code: str) -> str:  # noqa: F811
    """Wait for a notice; its text."""
    found: list[str] = []

    async def told() -> bool:
        rows = [e.row for e in await scene.journal.notices(Filter("script"))]
        found[:] = [row.text for row in rows if (row.kind, row.code) == (kind, code)]
        return bool(found)

    await scene.until(told)
    return found[0]


RULES = {
    "below the minimum": ({"min_notional": D("100000000")}, 1, ("NOTIONAL", "below the venue's minimum")),
    "below the least quantity": ({"min_quantity": D(1)}, 1, ("LOT_SIZE", "volume")),
    "off the price grid": ({"bands": ((D(0), D("7919")),)}, 3, ("PRICE_FILTER", "invalid_price_bid")),
}


@pytest.mark.parametrize("why", RULES)
async def test_an_order_that_the_venues_rules_do_not_take_any_more(scene, why):  # noqa: F811
    """The venue changed its rules since the bot has read them."""
    changed, what, words = RULES[why]
    market = scene.em.exchange.markets[scene.symbol]
    async with scene.bot() as runner:
        rules = market.rules
        market.rules = replace(rules, **changed)  # type: ignore[arg-type]
        await scene.say(what)
        await scene.stand(State.REJECTED)
        assert words[scene.venue == "upbit"] in await newest(scene)
        assert "refused by the venue" in await notice(scene, "rejection", "refused by the venue")
        assert runner.session.bot.decisions.broker.n_active == 0, "the strategy is told"
        market.rules = rules
        await scene.say(1)
        await scene.stand(State.REJECTED, State.FILLED)
        assert runner.sessions == 1
    await scene.ledger_is_the_venues()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks are compared all the time."""
    monkeypatch.setattr(live_tasks, "CLOCK_S", 0.1)
    monkeypatch.setattr(live_tasks, "DRIFTED_S", 0.1)


@pytest.mark.parametrize(("skew", "side"), [(BEHIND, "4.0 s behind"), (-BEHIND, "4.0 s ahead of")])
async def test_a_clock_that_drifts_away_and_comes_back(scene, quick, skew, side):  # noqa: F811
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        scene.em.exchange.skew_ns = skew
        text = await notice(scene, "alert", "clock-drift")
        # Upbit tells whole seconds only
        assert side in text if scene.venue == "binance" else side.split()[2] in text
        assert text.endswith("nothing is sent until it is right: let chrony or NTP set it")
        await scene.say(3)
        await notice(scene, "rejection", "clock drift")
        await scene.say(2)  # what reduces is not given up, it waits
        async with asyncio.timeout(60):
            while runner.session.bot.progress.tick < scene.seq:
                await asyncio.sleep(0.01)
        assert await scene.states() == [State.FILLED], "nothing is sent"
        scene.em.exchange.skew_ns = 0
        async with asyncio.timeout(60):
            while runner.session.bot.adapter.gate.drifted:
                await asyncio.sleep(0.01)
        await scene.say(0)
        await scene.stand(State.FILLED, State.FILLED)
        assert runner.sessions == 1
    await scene.ledger_is_the_venues()


@WINDOW
async def test_the_venue_notices_the_clock_first(scene):  # noqa: F811
    """Between two measurements the venue refuses what is out of its window; that measures at once."""
    async with scene.bot() as runner:
        scene.em.exchange.skew_ns = BEHIND
        await scene.say(3)
        await scene.stand(State.REJECTED)
        assert (await newest(scene)).startswith("not sent: ")
        assert "chrony or NTP" in await newest(scene)
        assert "behind the venue's" in await notice(scene, "alert", "clock-drift")
        assert not scene.em.exchange.accounts["main"].orders
        assert runner.sessions == 1


@WINDOW
async def test_a_session_that_begins_anew_waits_for_the_clock(scene, monkeypatch):  # noqa: F811
    """At the first start a wrong clock is a mistake; later the bot waits until it is right."""
    monkeypatch.setattr(
        runner_module, "RECOVERABLE", tuple((e, why, 0.1) for e, why, _ in runner_module.RECOVERABLE)
    )
    async with scene.bot() as runner:
        scene.em.exchange.skew_ns = BEHIND
        runner.session.bot.mailbox.put(TaskFailed(RestartError("the keys have changed")))
        async with asyncio.timeout(60):
            while runner.not_ready[0] != "VenueRefuses":
                await asyncio.sleep(0.01)
        assert "4.0 s behind the venue's" in runner.not_ready[1]
        scene.em.exchange.skew_ns = 0
        await scene.ready()
        await scene.say(1)
        await scene.stand(State.FILLED)
    await scene.ledger_is_the_venues()


async def test_a_market_suspended_while_held_and_the_bot_started_again(scene):  # noqa: F811
    market = scene.em.exchange.markets[scene.symbol]
    async with scene.bot():
        await scene.say(1)
        await scene.stand(State.FILLED)
    market.status = "suspended"
    async with scene.bot() as runner:
        await scene.say(2)
        await scene.stand(State.FILLED, State.REJECTED)
        assert "does not trade now" in await newest(scene)
        market.status = "trading"
        await scene.say(2)
        await scene.stand(State.FILLED, State.REJECTED, State.FILLED)
        assert runner.session.bot.decisions.flat
    await scene.ledger_is_the_venues()


KEYS = {
    "expired": ({"expired": True}, {"binance": "wrong or expired", "upbit": "expired"}),
    "may not trade": ({"trade": False}, {"binance": "may not trade", "upbit": "allow trading"}),
    "another address": ({"address": "10.9.8.7"}, {"binance": "address", "upbit": "address"}),
}


@pytest.mark.parametrize("wrong", KEYS)
async def test_a_key_that_goes_bad_while_running(scene, wrong):  # noqa: F811
    """What was sent stays ours; the bot says why it can send no more, and goes on when the key is good."""
    keys, words = scene.em.exchange.keys, KEYS[wrong][1]
    good = keys[scene.em.key]
    async with scene.bot() as runner:
        await scene.say(3)
        await scene.stand(State.OPEN)
        keys[scene.em.key] = replace(good, **KEYS[wrong][0])  # type: ignore[arg-type]
        await scene.say(1)
        await scene.stand(State.OPEN, State.REJECTED)
        assert words[scene.venue] in await newest(scene)
        assert scene.em.secret not in await newest(scene)
        scene.em.exchange.trade(scene.symbol, scene.price / 2, D(1), "sell")  # the resting bid fills
        keys[scene.em.key] = good
        scene.em.cut_sockets()
        await scene.stand(State.FILLED, State.REJECTED)
        await scene.say(2)
        await scene.stand(State.FILLED, State.REJECTED, State.FILLED)
        assert runner.sessions == 1
    await scene.ledger_is_the_venues()


@pytest.mark.parametrize("scene", ["upbit"], indirect=True)
async def test_a_clock_that_is_off_at_the_start_where_the_venue_has_no_window(scene, quick):  # noqa: F811
    """Upbit would take them; but how old a quote is can't be said."""
    scene.em.exchange.skew_ns = -BEHIND
    async with scene.bot():
        assert "ahead of the venue's" in await notice(scene, "alert", "clock-drift")
        await scene.say(1)
        await notice(scene, "rejection", "clock drift")
        assert not scene.em.exchange.accounts["main"].orders
        scene.em.exchange.skew_ns = 0
        async with asyncio.timeout(60):
            while scene.runner.session.bot.adapter.gate.drifted:
                await asyncio.sleep(0.01)
        await scene.say(1)
        await scene.stand(State.FILLED)
    await scene.ledger_is_the_venues()
