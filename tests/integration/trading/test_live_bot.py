"""A LIVE bot against the emulated venue, through the real ccxt client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.emulator.server import Emulator
from sigma_bot.journal import Filter
from sigma_bot.model.messages import TickBatch, TickMessage
from sigma_bot.model.orders import LIVING, State
from sigma_bot.spec import Strategy, parse_manifest
from sigma_bot.trading.runner import BotRunner
from sigma_bot.trading.service import close_account
from sigma_bot.trading.settings import Settings
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.open import open_venue
from tests.integration.trading.sim_rig import open_bus, open_journal, publish
from tests.support import bots, servers

D = Decimal
SCRIPT = '''
from sigma_bot import Strategy, IOC

class Script(Strategy):
    """What the market's last price asks for: 1 buy, 2 sell all, 3 rest a bid, 4 cancel all, 5 bracket."""

    def on_tick(self, tick, broker):
        what = int(tick.volume)
        if what == 1:
            broker.buy(0.01)
        elif what == 2:
            broker.close()
        elif what == 3:
            broker.buy(0.01, limit=tick.bid * 0.95)
        elif what == 4:
            broker.cancel_all()
        elif what == 5:
            broker.buy(0.01, stop_loss=tick.bid * 0.9, take_profit=tick.ask * 1.1)
'''
VENUES = {
    "binance": ("BTCUSDT", "USDT", D("60000"), "0.01"),
    "upbit": ("KRW-BTC", "KRW", D("90000000"), "1000"),
}


def live_manifest(venue: str, code: str = SCRIPT, name: str = "script", **limits: Any) -> Strategy:
    symbol, currency, _, tick = VENUES[venue]
    rules = {"tickSize": tick, "lotSize": "0.00001"} if venue == "binance" else {"rules": "upbit"}
    value = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": name},
        "spec": {
            "mode": "live",
            "strategy": {"code": code},
            "markets": [{"symbol": symbol, **rules}],
            "account": {
                "venue": venue,
                "name": "main",
                "currency": currency,
                "cash": "10000000" if venue == "upbit" else "10000",
                "secretRef": {"name": "keys"},
                "confirm": {"account": "main", "maxLoss": "1000"},
                "limits": limits,
            },
            "risk": {
                "maxPosition": "1",
                "maxNotional": "9000000",
                "maxDailyLoss": "1000",
                "staleAfter": "30s",
            },
        },
    }
    parsed = parse_manifest(value)
    assert isinstance(parsed, Strategy)
    return parsed


class Scene:
    """Emulator, bus, journal and one bot."""

    def __init__(self, venue: str, emulator: Emulator, bus, journal) -> None:
        self.venue, self.em, self.bus, self.journal = venue, emulator, bus, journal
        self.symbol, self.currency, self.price, _ = VENUES[venue]
        self.seq = 0
        self.runner: BotRunner | None = None

    def book(self, price: Decimal, size: str = "5") -> None:
        step = D("10") if self.venue == "binance" else D("10000")
        self.price = price
        self.em.exchange.set_book(self.symbol, {price - step: D(size)}, {price + step: D(size)})

    async def say(self, what: int) -> None:
        """A tick whose volume tells the strategy what to do."""
        step = 10.0 if self.venue == "binance" else 10000.0
        self.seq += 1
        p = float(self.price)
        tick = TickMessage(self.symbol, p - step, p + step, 5.0, 5.0, p, float(what), p, p, 0, 0)
        await publish(self.bus, [TickBatch(self.venue, self.seq, time.time_ns(), (), (tick,))])

    async def until(self, what) -> None:
        async with asyncio.timeout(60):
            while not await what():
                await asyncio.sleep(0.01)

    async def orders(self):
        return [e.row for e in await self.journal.orders(Filter("script"))]

    async def states(self) -> list[State]:
        return [row.state for row in reversed(await self.orders())]

    async def stand(self, *want: State) -> None:
        """Wait until the bot's orders, the oldest first, stand so."""

        async def so() -> bool:
            return await self.states() == list(want)

        await self.until(so)

    async def arrived(self) -> None:
        """Wait until the venue has an order."""

        async def there() -> bool:
            return bool(self.em.exchange.accounts["main"].orders)

        await self.until(there)

    async def ready(self) -> None:
        async with asyncio.timeout(60):
            while self.runner.session is None or not self.runner.session.reader.last:
                await asyncio.sleep(0.01)
                if self.runner.session is not None:
                    await self.say(0)

    @contextlib.asynccontextmanager
    async def bot(self, name: str = "script", code: str = SCRIPT, **limits: Any) -> AsyncIterator[BotRunner]:
        keys = Keys(self.em.key, self.em.secret)
        self.runner = bots.bot(
            Settings(live_manifest(self.venue, code, name, **limits), Path(), lease_ttl_s=60.0),
            self.journal,
            self.bus,
            lambda: open_venue(self.venue, keys, LocalLimiter(self.venue), self.em.url),
        )
        async with bots.running(self.runner) as runner:
            await self.ready()
            yield runner

    async def ledger_is_the_venues(self) -> None:
        """Opening balances and the journal's fills give the venue's balances, to the last digit."""
        account = self.em.exchange.accounts["main"]
        base = "BTC"
        want = {base: account.opening[base], self.currency: account.opening[self.currency]}
        fills = [e.row for e in await self.journal.fills(Filter("script", limit=None))]
        for f in fills:
            sign = 1 if f.side == "buy" else -1
            want[base] += sign * f.quantity
            want[self.currency] -= sign * f.quantity * f.price
            want[f.fee_currency] -= f.fee
        for currency, amount in want.items():
            held = account.holdings[currency]
            assert held.free + held.locked == amount, currency
        assert len(fills) == len(list(account.fills()))


@pytest.fixture(params=["binance", "upbit"])
async def scene(request, tmp_path):
    venue = request.param
    async with (
        Emulator(venue, [VENUES[venue][0]]) as em,
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as j,
    ):
        bus = open_bus("memory://", tmp_path / "spool")
        s = Scene(venue, em, bus, j)
        s.book(s.price)
        yield s
        await bus.close()


async def test_buys_and_sells_at_market(scene):
    async with scene.bot():
        await scene.say(1)
        await scene.stand(State.FILLED)
        await scene.say(2)
        await scene.stand(State.FILLED, State.FILLED)
    await scene.ledger_is_the_venues()


async def test_rests_and_cancels(scene):
    async with scene.bot():
        await scene.say(3)
        await scene.stand(State.OPEN)
        assert len([o for o in scene.em.exchange.accounts["main"].orders if o.status.value == "open"]) == 1
        await scene.say(4)
        await scene.stand(State.CANCELLED)
    await scene.ledger_is_the_venues()


async def test_a_halted_bot_may_still_reduce(scene):
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        await scene.journal.control("strategy", "script", "halt", "enough", by="me", now=1)
        async with asyncio.timeout(60):
            while not runner.session.bot.progress.halted:
                await asyncio.sleep(0.01)
        await scene.say(3)  # a new bid: refused
        await scene.say(2)  # closing: sent
        await scene.stand(State.FILLED, State.FILLED)
        codes = [
            e.row.code for e in await scene.journal.notices(Filter("script")) if e.row.kind == "rejection"
        ]
        assert codes == ["halted"]
    await scene.ledger_is_the_venues()


async def test_flatten_cancels_and_closes_and_stays_halted(scene):
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        await scene.say(3)
        await scene.stand(State.FILLED, State.OPEN)
        await scene.journal.control("account", "main", "flatten", "home", by="me", now=1)
        await scene.stand(State.FILLED, State.CANCELLED, State.FILLED)
        assert runner.session.bot.decisions.flat
        async with asyncio.timeout(60):
            while (await scene.journal.controls_for("script")).flatten:
                await asyncio.sleep(0.02)
        assert (await scene.journal.controls_for("script")).halted_by is not None
    await scene.ledger_is_the_venues()


async def test_a_close_ends_although_something_cant_be_sold(scene, caplog):
    async with scene.bot() as runner:
        await scene.say(1)
        await scene.stand(State.FILLED)
        holding = scene.em.exchange.accounts["main"].holdings["BTC"]
        scene.em.exchange.pay_in("main", "BTC", -holding.free)  # somebody took it away
        async with asyncio.timeout(60):
            await close_account(runner, scene.journal, "flatten")
        assert not runner.session.bot.decisions.flat
        assert "still held" in caplog.text
        assert "not-flat" in [e.row.code for e in await scene.journal.notices(Filter("script"))]


async def test_bots_of_one_account_share_its_limits_and_never_its_orders(scene):
    async with scene.bot("script", maxOpenOrders=1) as first, scene.bot("second", maxOpenOrders=1) as second:
        await scene.say(3)  # both bid: there is room for one
        await scene.until(lambda: _ended(scene, 2))
        orders = [e.row for e in await scene.journal.orders()]
        assert sorted(row.state for row in orders) == [State.OPEN, State.REJECTED]
        assert [row.reason for row in orders if row.state is State.REJECTED] == [
            "account limit: 2 open orders of all its bots, at most 1"
        ]
        assert len(list(scene.em.exchange.accounts["main"].orders)) == 1
        assert {r.session.bot.decisions.broker.n_active for r in (first, second)} == {0, 1}
        for runner in (first, second):
            runner.session.bot.adapter.executor.reconcile_soon([scene.symbol])
        async with asyncio.timeout(60):
            while {r.session.bot.adapter.foreign_orders for r in (first, second)} != {0, 1}:
                await asyncio.sleep(0.01)
        await scene.say(4)
        await scene.until(lambda: _gone(scene))


async def _ended(scene, count) -> bool:
    """Whether so many orders are past being on their way."""
    rows = [e.row for e in await scene.journal.orders()]
    return len(rows) == count and all(row.state is not State.INTENT for row in rows)


async def _gone(scene) -> bool:
    return not (await scene.journal.orders(Filter(states=LIVING))).rows


async def test_a_halt_given_while_the_bot_was_away_comes_before_its_first_tick(scene):
    async with scene.bot():
        pass
    await scene.journal.control("strategy", "script", "halt", "away", by="me", now=1)
    await scene.say(3)
    async with scene.bot() as runner:
        async with asyncio.timeout(60):
            while not runner.session.bot.progress.halted:
                await asyncio.sleep(0.01)
        await scene.say(3)
        await scene.until(lambda: _rejected(scene, "halted"))
    assert not list(scene.em.exchange.accounts["main"].orders)


async def test_a_halt_given_during_a_long_callback_stops_its_orders(scene, tmp_path):
    inside, given = tmp_path / "inside", tmp_path / "given"
    wait = f"""(tick.volume)
        if what == 3:
            pathlib.Path({str(inside)!r}).touch()
            while not pathlib.Path({str(given)!r}).exists():
                time.sleep(0.01)
            time.sleep(0.1)
"""
    code = "import pathlib\nimport time\n" + SCRIPT.replace("(tick.volume)\n", wait)

    async def halt() -> None:
        while not inside.exists():
            await asyncio.sleep(0.01)
        async with await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal:
            await journal.control("strategy", "script", "halt", "stop", by="me", now=1)
        given.touch()

    async with scene.bot(code=code):
        outside = asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(halt()))
        await scene.say(3)
        await outside
        await scene.stand(State.REJECTED)
        assert [row.reason for row in await scene.orders()] == ["not sent: halted before it was sent"]
    assert not list(scene.em.exchange.accounts["main"].orders)


async def _rejected(scene, code: str) -> bool:
    return code in [e.row.code for e in await scene.journal.notices(Filter("script"))]
