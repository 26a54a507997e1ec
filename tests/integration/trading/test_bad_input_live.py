"""What a user gets wrong, or a venue refuses, in LIVE: the bot says what is wrong, and sends nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.bus import open_bus
from sigma_bot.emulator.accounts import Key
from sigma_bot.emulator.server import Emulator
from sigma_bot.errors import BadInputError
from sigma_bot.journal import Filter, open_journal
from sigma_bot.model.orders import State
from sigma_bot.spec import Strategy, parse_manifest
from sigma_bot.spec.load import dump_manifest
from sigma_bot.trading.settings import Settings
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.open import open_venue
from sigma_bot.venues.types import RefusedError
from tests.integration.trading.test_live_bot import VENUES, live_manifest, scene  # noqa: F401 - the fixture
from tests.support import bots, servers

EACH = pytest.mark.parametrize("venue", VENUES)


def other(manifest: Strategy, **markets: Any) -> Strategy:
    """The manifest with its market changed."""
    value = dump_manifest(manifest)
    value["spec"]["markets"][0] |= markets
    parsed = parse_manifest(value)
    assert isinstance(parsed, Strategy)
    return parsed


async def ends(em: Emulator, folder: Path, manifest: Strategy, keys: Keys | None = None) -> BaseException:
    """What a bot that cannot start ends with."""
    bus = open_bus("memory://", folder / "spool")
    try:
        async with await open_journal(servers.migrated_sqlite(folder / "j.db")) as journal:
            given = keys or Keys(em.key, em.secret)
            connect = lambda: open_venue(em.venue, given, LocalLimiter(em.venue), em.url)  # noqa: E731
            runner = bots.bot(Settings(manifest, folder), journal, bus, connect)
            async with asyncio.timeout(60):
                with pytest.raises((BadInputError, RefusedError)) as caught:
                    await runner.run()
            return caught.value
    finally:
        await bus.close()


def emulator(venue: str) -> Emulator:
    return Emulator(venue, [VENUES[venue][0]])


KEYS = {
    "wrong secret": ({}, "not-the-secret", {"binance": "API secret", "upbit": "API secret"}),
    "unknown key": (None, "x", {"binance": "API key is wrong or expired", "upbit": "not known"}),
    "expired": ({"expired": True}, None, {"binance": "wrong or expired", "upbit": "expired"}),
    "may not trade": ({"trade": False}, None, {"binance": "may not trade", "upbit": "allow trading"}),
    "wrong address": ({"address": "10.9.8.7"}, None, {"binance": "address", "upbit": "address"}),
}


@EACH
@pytest.mark.parametrize("wrong", KEYS)
async def test_a_key_that_will_not_do(venue, wrong, tmp_path):
    options, secret, words = KEYS[wrong]
    async with emulator(venue) as em:
        if options is not None:
            em.exchange.keys["mine"] = Key("mine", "my-secret", "main", **options)
        keys = Keys("mine" if options is not None else "nobody", secret or "my-secret")
        error = await ends(em, tmp_path, live_manifest(venue), keys)
        assert words[venue] in str(error)
        assert "my-secret" not in str(error)
        assert not em.exchange.accounts["main"].orders


async def test_a_key_that_may_withdraw_is_refused(tmp_path):
    async with emulator("binance") as em:
        em.exchange.keys["mine"] = Key("mine", "my-secret", "main", withdraw=True)
        error = await ends(em, tmp_path, live_manifest("binance"), Keys("mine", "my-secret"))
        assert "may withdraw money; take that permission away" in str(error)


@EACH
async def test_a_market_that_is_not_there_names_the_nearest(venue, tmp_path):
    symbol = VENUES[venue][0]
    wrong = {"BTCUSDT": "BTCUSDX", "KRW-BTC": "KRW-BTX"}[symbol]
    async with emulator(venue) as em:
        error = await ends(em, tmp_path, other(live_manifest(venue), symbol=wrong))
        assert wrong in str(error)
        assert symbol in str(error)


@EACH
async def test_a_suspended_market_is_refused_at_the_start(venue, tmp_path):
    async with emulator(venue) as em:
        em.exchange.markets[VENUES[venue][0]].status = "suspended"
        error = await ends(em, tmp_path, live_manifest(venue))
        assert f"{VENUES[venue][0]} is suspended or delisted at {venue}" in str(error)


@EACH
async def test_a_market_of_another_currency(venue, tmp_path):
    """Refused in the manifest; where the symbol's name does not say it, by what the venue says."""
    value = dump_manifest(live_manifest(venue))
    value["spec"]["account"]["currency"] = "EUR"
    with pytest.raises(BadInputError, match="the account counts in EUR"):
        parse_manifest(value)
    manifest = live_manifest(venue)
    account = manifest.spec.account.model_copy(update={"currency": "EUR"})
    spec = manifest.spec.model_copy(update={"account": account})
    async with emulator(venue) as em:
        error = await ends(em, tmp_path, manifest.model_copy(update={"spec": spec}))
        assert "the account counts in EUR; set spec.account.currency to" in str(error)


async def test_a_clock_far_off_is_refused_at_the_start(tmp_path):
    async with emulator("binance") as em:
        em.exchange.skew_ns = 20_000_000_000
        error = await ends(em, tmp_path, live_manifest("binance"))
        assert "clock is 20.0 s behind the venue's" in str(error)
        assert "NTP" in str(error)


@EACH
async def test_more_cash_than_the_account_holds(venue, tmp_path):
    async with emulator(venue) as em:
        currency = VENUES[venue][1]
        em.exchange.pay_in("main", currency, -em.exchange.accounts["main"].holdings[currency].free)
        error = await ends(em, tmp_path, live_manifest(venue))
        assert "spec.account.cash" in str(error)
        assert "more than the account holds" in str(error)


async def told(scene, code: str) -> str:  # noqa: F811
    """The text of the notice with this code."""
    async with asyncio.timeout(60):
        while True:
            for entry in await scene.journal.notices(Filter("script")):
                if code in entry.row.code or code in entry.row.text:
                    return entry.row.text
            await asyncio.sleep(0.01)


async def refused(scene) -> str:  # noqa: F811
    """Why the newest order was refused."""
    async with asyncio.timeout(60):
        while not (rows := await scene.orders()) or rows[0].state is not State.REJECTED:
            await asyncio.sleep(0.01)
    return rows[0].reason


async def test_a_market_suspended_while_running(scene):  # noqa: F811
    async with scene.bot() as runner:
        scene.em.exchange.markets[scene.symbol].status = "suspended"
        await scene.say(1)
        assert "does not trade now" in await refused(scene)
        assert runner.session.bot.decisions.broker.n_active == 0
    await scene.ledger_is_the_venues()


async def test_a_symbol_delisted_while_held(scene):  # noqa: F811
    async with scene.bot():
        await scene.say(1)
        await scene.stand(State.FILLED)
        scene.em.exchange.markets[scene.symbol].status = "delisted"
        await scene.say(2)
        assert "market" in await refused(scene)
    await scene.ledger_is_the_venues()


async def test_a_bot_starts_again_though_what_it_holds_was_removed(scene):  # noqa: F811
    async with scene.bot():
        await scene.say(1)
        await scene.stand(State.FILLED)
        await scene.say(3)
        await scene.stand(State.FILLED, State.OPEN)
    scene.em.exchange.markets[scene.symbol].status = "delisted"
    async with scene.bot() as runner:
        assert runner.session.bot.decisions.broker.markets[0].lots > 0
        assert "the venue has removed this market" in await told(scene, "market-removed")
        await scene.say(2)
        assert "market" in await refused(scene)
        # Upbit's orders are known without their market, so closing still cancels what rested.
        rested = State.CANCELLED if scene.venue == "upbit" else State.OPEN
        await scene.stand(State.FILLED, rested, State.REJECTED)
        assert runner.sessions == 1
    await scene.ledger_is_the_venues()


async def test_money_that_went_elsewhere(scene):  # noqa: F811
    async with scene.bot() as runner:
        account = scene.em.exchange.accounts["main"]
        scene.em.exchange.pay_in("main", scene.currency, -account.holdings[scene.currency].free)
        await scene.say(1)
        assert "not enough free balance" in await refused(scene)
        assert runner.session.bot.decisions.broker.n_active == 0, "the strategy is told"


async def test_the_journal_names_a_second_strategy_of_the_name(scene, tmp_path):  # noqa: F811
    async with scene.bot():
        value = dump_manifest(live_manifest(scene.venue))
        value["spec"]["account"] |= {"name": "other", "confirm": {"account": "other", "maxLoss": "1000"}}
        manifest = parse_manifest(value)
        assert isinstance(manifest, Strategy)
        runner = bots.bot(Settings(manifest, tmp_path), scene.journal, scene.bus, lambda: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(BadInputError, match="a bot of this name with account 'main'; give this one anot"):
            await runner.run()


def test_live_asks_for_a_confirmation_and_limits():
    whole = dump_manifest(live_manifest("binance"))
    for spoil, words in (
        (lambda s: s["account"].pop("confirm"), "confirm"),
        (lambda s: s["account"]["confirm"].update(account="else"), "confirm.account"),
        (lambda s: s["account"]["confirm"].update(maxLoss="5"), "confirm.maxLoss"),
        (lambda s: s["risk"].pop("maxDailyLoss"), "maxDailyLoss"),
        (lambda s: s["risk"].pop("maxPosition"), "maxPosition"),
        (lambda s: s["account"].pop("secretRef"), "secretRef"),
    ):
        value = {**whole, "spec": {**whole["spec"]}}
        value["spec"]["account"] = {**whole["spec"]["account"]}
        value["spec"]["account"]["confirm"] = {**whole["spec"]["account"]["confirm"]}
        value["spec"]["risk"] = {**whole["spec"]["risk"]}
        spoil(value["spec"])
        with pytest.raises(BadInputError, match=words):
            parse_manifest(value)
