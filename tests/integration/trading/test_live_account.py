"""LIVE and what venues really do to an account: fees in other currencies, largest orders, exits that go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sigma_bot.cli.orders import orders
from sigma_bot.cli.status import status
from sigma_bot.emulator.registry import emulated
from sigma_bot.emulator.server import Emulator
from sigma_bot.engine.types import DONE
from sigma_bot.journal import Filter
from sigma_bot.model.orders import State
from sigma_bot.trading import executor, live_tasks
from tests.integration.trading.sim_rig import open_bus, open_journal
from tests.integration.trading.test_live_bot import VENUES, Scene, scene  # noqa: F401 - the fixture
from tests.support import servers

D = Decimal


@contextlib.asynccontextmanager
async def staged(
    folder: Path, venue: str = "binance", symbol: str = "", others: tuple[str, ...] = (), **rules: Any
) -> AsyncIterator[Scene]:
    """A scene at a venue whose market has other ``rules``; it lists ``others`` too."""
    usual, _, price, _ = VENUES[venue]
    known = emulated(venue)
    markets = [replace(known.rules(symbol or usual), **rules), *map(known.rules, others)]
    async with (
        Emulator(venue, rules=markets) as em,
        await open_journal(servers.migrated_sqlite(folder / "j.db")) as journal,
    ):
        bus = open_bus("memory://", folder / "spool")
        s = Scene(venue, em, bus, journal)
        s.symbol = symbol or usual
        s.book(price)
        yield s
        await bus.close()


async def trips(s: Scene, count: int) -> None:
    """Buy and close again."""
    done: list[State] = []
    for _ in range(count):
        for what in (1, 2):
            await s.say(what)
            done.append(State.FILLED)
            await s.stand(*done)


async def booked(s: Scene, fees: int) -> None:
    """Wait until so many quanta of fees are counted."""

    async def so() -> bool:
        return s.runner.session.bot.decisions.broker.fee_quanta == fees

    await s.until(so)


async def alerts(s: Scene) -> list[str]:
    return [e.row.code for e in await s.journal.notices(Filter("script")) if e.row.kind == "alert"]


async def alerted(s: Scene, code: str) -> None:
    """Wait until an alert is stored."""

    async def so() -> bool:
        return code in await alerts(s)

    await s.until(so)


async def test_fees_in_another_currency_are_counted_at_the_market(tmp_path):
    async with staged(tmp_path, others=("BNBUSDT",)) as s:
        account = s.em.exchange.accounts["main"]
        account.fee_currency, account.fee_price = "BNB", D(600)
        s.em.exchange.trade("BNBUSDT", D(600), D(1), "buy")
        async with s.bot() as runner:
            await trips(s, 3)
            fees = [e.row for e in await s.journal.fills(Filter("script", limit=None))]
            assert {f.fee_currency for f in fees} == {"BNB"}
            await booked(s, int(sum(f.fee for f in fees) * 600 * 10**8))
            broker = runner.session.bot.decisions.broker
            money = account.holdings["USDT"].free - account.opening["USDT"]
            worth = money - sum(f.fee for f in fees) * 600
            assert D(broker.cash_quanta) / 10**8 - 10_000 == worth
            await s.say(0)

            async def marked() -> bool:
                return runner.session.bot.progress.tick == s.seq

            await s.until(marked)
            assert broker.equity == pytest.approx(float(10_000 + worth), abs=1e-6)
            assert not await alerts(s)
        await s.ledger_is_the_venues()


async def test_fees_that_no_market_tells_the_price_of_are_told_and_kept(tmp_path):
    async with staged(tmp_path) as s:
        account = s.em.exchange.accounts["main"]
        account.fee_currency, account.fee_price = "BNB", D(600)
        async with s.bot() as runner:
            await trips(s, 1)
            await alerted(s, "fee-not-counted")
            assert runner.session.adapter.orders.fees.told() == {
                "BNB": sum(e.row.fee for e in await s.journal.fills(Filter("script")))
            }
            assert "BNB" in str(runner.facts()["fees_not_counted"])
        async with s.bot() as again:  # it is owed still, and charged once there is a price
            assert "BNB" in str(again.facts()["fees_not_counted"])


@pytest.mark.parametrize("reserve", ["0", "1"])
async def test_what_fees_leave_of_a_position_is_sold(tmp_path, reserve):
    code = """
from sigma_bot import Strategy

class Script(Strategy):
    def on_tick(self, tick, broker):
        if int(tick.volume) == 1:
            broker.buy(10.0)
        elif int(tick.volume) == 2:
            broker.close()
"""
    async with staged(tmp_path, symbol="BNBUSDT") as s:
        s.book(D(600), "100")
        s.more = {
            "risk": {"maxPosition": "50", "maxNotional": "9000", "maxDailyLoss": "1000", "staleAfter": "30s"}
        }
        account = s.em.exchange.accounts["main"]
        s.em.exchange.pay_in("main", "BNB", D(reserve) - account.holdings["BNB"].free)
        account.fee_currency, account.fee_price = "BNB", D(600)
        async with s.bot(code=code) as runner:
            await s.say(1)
            await s.stand(State.FILLED)
            await s.say(2)
            await s.stand(State.FILLED, State.FILLED)
            assert runner.session.bot.decisions.flat
            assert account.holdings["BNB"].free <= D(reserve) + D("0.001"), "all that was bought is sold"


async def test_what_is_there_is_sold_when_somebody_took_of_it(scene):  # noqa: F811
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        free = scene.em.exchange.accounts["main"].holdings["BTC"].free
        scene.em.exchange.pay_in("main", "BTC", D("0.004") - free)
        await scene.say(2)
        await scene.stand(State.FILLED, State.REJECTED, State.FILLED)
        rows = await scene.orders()
        assert rows[0].quantity == D("0.004")
        assert runner.session.bot.decisions.broker.markets[0].lots > 0, "the rest is missing, not sold"


@pytest.mark.parametrize("venue", ["binance", "upbit"])
async def test_what_is_larger_than_the_venue_takes_goes_in_parts(tmp_path, venue):
    price = VENUES[venue][2]
    rules: dict[str, Any] = (
        {"market_max_quantity": D("0.004")}
        if venue == "binance"
        else {"max_notional": price * D("0.0045"), "max_at_market": True}
    )
    async with staged(tmp_path, venue, **rules) as s:
        async with s.bot() as runner:
            await s.say(1)
            await s.stand(*[State.FILLED] * 3)
            await s.say(2)
            await s.stand(*[State.FILLED] * 6)
            assert runner.session.bot.decisions.flat
            assert {row.order_id for row in await s.orders()} == {1, 2}
        await s.ledger_is_the_venues()


async def test_flatten_sells_in_parts(tmp_path):
    async with staged(tmp_path, max_quantity=D("0.004")) as s, s.bot() as runner:
        await s.say(1)
        await s.stand(*[State.FILLED] * 3)
        await s.journal.control("strategy", "script", "flatten", "home", by="me", now=1)
        await s.stand(*[State.FILLED] * 6)
        assert runner.session.bot.decisions.flat


async def test_a_target_too_far_for_the_venue_waits_here(tmp_path):
    async with staged(tmp_path, percent=(D("0.95"), D("1.05"))) as s, s.bot() as runner:
        await s.say(5)  # the target is 10 % away
        await s.stand(State.FILLED)
        await s.say(0)
        assert await s.states() == [State.FILLED], "not sent, so not refused"
        s.book(D("64500"))
        await s.say(0)
        await s.stand(State.FILLED, State.OPEN)
        assert runner.session.bot.decisions.broker.n_active == 2
        assert not await alerts(s)


@pytest.mark.parametrize("choice", ["alert", "flatten"])
async def test_an_exit_that_the_venue_refuses_is_told_at_once(scene, choice):  # noqa: F811
    scene.more = {"onUnprotected": choice}
    body = {
        "binance": '{"code": -2010, "msg": "This action is disabled on this account."}',
        "upbit": '{"error": {"name": "out_of_scope", "message": "no"}}',
    }[scene.venue]
    async with scene.bot() as runner:
        fault = scene.em.faults.add("order.create", "answer", status=400, body=body, skip=1)
        await scene.say(5)
        await scene.stand(State.FILLED, State.REJECTED)
        await alerted(scene, "unprotected")
        await fault.reached.wait()
        if choice == "flatten":
            await scene.stand(State.FILLED, State.REJECTED, State.FILLED)

            async def flat() -> bool:
                return runner.session.bot.decisions.flat

            await scene.until(flat)
            assert (await scene.journal.controls_for("script")).halted_by is not None
        else:
            assert not (await scene.journal.controls_for("script")).halts
    await scene.ledger_is_the_venues()


async def test_an_exit_that_cant_be_sent_for_a_while_is_sent_later(scene, monkeypatch):  # noqa: F811
    monkeypatch.setattr(executor, "SEND_WINDOW_S", 0.2)
    async with scene.bot() as runner:
        fault = scene.em.faults.add("order.create", "limit", seconds=1, skip=1, times=1)
        await scene.say(5)
        await fault.reached.wait()
        await scene.stand(State.FILLED, State.REJECTED)
        runner.session.bot.adapter.orders.due_again.clear()

        async def sent() -> bool:
            await scene.say(0)
            return await scene.states() == [State.FILLED, State.REJECTED, State.OPEN]

        await scene.until(sent)
        assert await alerts(scene) == ["exit-delayed"]


async def test_an_exit_that_somebody_cancelled_at_the_venue_is_told(scene, monkeypatch):  # noqa: F811
    monkeypatch.setattr(live_tasks, "RECONCILE_S", 0.2)
    async with scene.bot():
        await scene.say(5)
        await scene.stand(State.FILLED, State.OPEN)
        exchange = scene.em.exchange
        exchange.cancel(exchange.open_orders("main")[0])
        await scene.stand(State.FILLED, State.CANCELLED)
        await alerted(scene, "unprotected")


async def test_an_exit_that_the_strategy_cancels_is_no_alert(scene):  # noqa: F811
    async with scene.bot():
        await scene.say(5)
        await scene.stand(State.FILLED, State.OPEN)
        await scene.say(4)
        await scene.stand(State.FILLED, State.CANCELLED)
        await scene.say(2)
        await scene.stand(State.FILLED, State.CANCELLED, State.FILLED)
        assert not await alerts(scene)


async def test_held_stops_are_listed_and_leaving_names_them(scene, tmp_path, caplog):  # noqa: F811
    url = f"sqlite:///{tmp_path / 'j.db'}"

    async def said(command: click.Command, *arguments: str) -> str:
        """What a command prints about the journal."""
        result = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, "--db", url])
        assert result.exit_code == 0, result.output
        return str(result.output)

    async with scene.bot() as runner:
        await scene.say(5)
        await scene.stand(State.FILLED, State.OPEN)
        (stop,) = (o for o in runner.session.bot.decisions.broker.orders if o.stop > 0.0 and o.state != DONE)
        listed = await said(orders, "--open")
        assert "held by the bot" in listed
        assert f"{stop.stop:,.10g}".replace(",", "") in listed
        assert "script: held by the bot: stop sell" in await said(status, "script")
        assert "held by the bot" in await said(status, "--output", "json")
        assert "stop sell" in str(runner.facts()["held_orders"])
    assert "asleep until the bot runs again: stop sell" in caplog.text
    assert "is held without them" in caplog.text
    assert "held by the bot" in await said(orders, "script", "--open"), "asleep, and listed all the same"
    assert "held by the bot" not in await said(orders, "script")
