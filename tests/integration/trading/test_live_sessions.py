"""A LIVE bot whose sessions end and begin anew, in one process."""

from __future__ import annotations

import asyncio
import gc
import weakref

from sigma_bot.journal import Filter
from sigma_bot.model.orders import State
from sigma_bot.trading.bot import RestartError
from sigma_bot.trading.events import TaskFailed
from sigma_bot.venues.limiter import LocalLimiter
from tests.integration.trading.test_live_bot import Scene, scene  # noqa: F401 - the fixture


async def test_an_ended_session_is_gone_before_the_next_begins(scene):  # noqa: F811
    """Or each lost database would leave its session, venue client and all, until Python looks for cycles."""
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        session = runner.session
        parts = [
            weakref.ref(part) for part in (session, session.bot.decisions, session.bot.adapter.executor.venue)
        ]
        session.bot.mailbox.put(TaskFailed(RestartError("anew")))
        del session
        gc.disable()  # but for what the runner does itself
        try:
            async with asyncio.timeout(60):
                while runner.sessions == 1 or runner.session is None:
                    await asyncio.sleep(0.01)
            assert [part() for part in parts] == [None, None, None]
        finally:
            gc.enable()
        await scene.ready()
        await scene.say(2)
        await scene.stand(State.FILLED, State.FILLED)
    await scene.ledger_is_the_venues()


async def test_a_cancel_does_not_overtake_its_order(scene, monkeypatch):  # noqa: F811
    """The order waits for the rate limit. A cancel before it would find nothing, and the order would stay."""
    free, asked = asyncio.Event(), asyncio.Event()
    acquire = LocalLimiter.acquire

    async def waiting(self, costs, urgent=False, deadline_ns=None):
        if deadline_ns is not None:
            asked.set()
            await free.wait()
        await acquire(self, costs, urgent, deadline_ns)

    monkeypatch.setattr(LocalLimiter, "acquire", waiting)
    async with scene.bot() as runner:
        await scene.say(3)
        await asked.wait()
        await scene.say(4)
        async with asyncio.timeout(60):
            while runner.session.bot.progress.tick < scene.seq:
                await asyncio.sleep(0.01)
        assert not scene.em.exchange.accounts["main"].orders
        free.set()
        await scene.stand(State.CANCELLED)
        assert not [e for e in await scene.journal.notices(Filter("script")) if e.row.kind == "alert"]
    await scene.ledger_is_the_venues()


async def test_a_resume_drops_a_flatten_that_is_not_finished(scene):  # noqa: F811
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.say(3)
        await scene.stand(State.FILLED, State.OPEN)
        held = scene.em.faults.add("order.cancel", "hold")
        await scene.journal.control("strategy", "script", "flatten", "home", by="me", now=1)
        await held.reached.wait()
        await scene.journal.control("strategy", "script", "resume", "no, stay", by="me", now=2)
        bot = runner.session.bot
        async with asyncio.timeout(60):
            while bot.progress.halted or bot.flattening:
                await asyncio.sleep(0.01)
        held.release()
        await scene.stand(State.FILLED, State.CANCELLED)
        assert not bot.decisions.flat, "what it holds stays"
        await scene.say(2)
        await scene.stand(State.FILLED, State.CANCELLED, State.FILLED)
    kinds = [e.row.kind for e in reversed((await scene.journal.inputs(Filter("script"))).rows)]
    given = [kind for kind in kinds if kind not in ("fill", "end")]
    assert sorted(given) == ["flatten", "halt", "resume", "unflatten"]
    await scene.ledger_is_the_venues()
