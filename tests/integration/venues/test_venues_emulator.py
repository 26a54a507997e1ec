"""The clients against the exchange emulator: what they report is what the exchange did, to the last digit."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.emulator.accounts import Key
from sigma_bot.emulator.server import Emulator
from sigma_bot.venues import stream as streams
from sigma_bot.venues.errors import COUNTS
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.open import open_venue
from sigma_bot.venues.types import (
    NewOrder,
    RefusedError,
    StreamBreak,
    TransientError,
    UnknownError,
    VenueClient,
    VenueFill,
    VenueOrder,
)

D = Decimal
PATIENCE = 30.0


@dataclass(frozen=True)
class Scene:
    """One venue: a market with a book, in its own numbers."""

    venue: str
    symbol: str
    bids: dict[Decimal, Decimal]
    asks: dict[Decimal, Decimal]
    resting: Decimal  # a price inside the spread, on the grid
    taking: Decimal  # a price that reaches both asks


SCENES = {
    "binance": Scene(
        "binance",
        "BTCUSDT",
        {D("50000.00"): D(1)},
        {D("50010.00"): D("0.002"), D("50011.00"): D("0.5")},
        D("50005.01"),
        D("50011.00"),
    ),
    "upbit": Scene(
        "upbit",
        "KRW-BTC",
        {D(67_000_000): D(1)},
        {D(67_010_000): D("0.002"), D(67_011_000): D("0.5")},
        D(67_005_000),
        D(67_011_000),
    ),
}
BOTH = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


@dataclass
class Heard:
    """What the private stream told, and a way to wait for it."""

    events: list[VenueOrder | VenueFill | StreamBreak] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: VenueClient) -> None:
        async with aclosing(client.stream()) as stream:  # type: ignore[type-var]
            async for event in stream:
                self.events.append(event)
                self.news.set()

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                self.news.clear()
                await self.news.wait()

    @property
    def fills(self) -> list[VenueFill]:
        return [e for e in self.events if isinstance(e, VenueFill)]

    @property
    def breaks(self) -> list[str]:
        return [e.reason for e in self.events if isinstance(e, StreamBreak)]

    @property
    def last(self) -> VenueOrder:
        return next(e for e in reversed(self.events) if isinstance(e, VenueOrder))

    def orders(self) -> list[VenueOrder]:
        return [e for e in self.events if isinstance(e, VenueOrder)]


@asynccontextmanager
async def at(scene: Scene) -> AsyncIterator[tuple[Emulator, VenueClient, Heard]]:
    """An emulator, an open client, and its stream being read."""
    async with Emulator(scene.venue, [scene.symbol]) as exchange:
        exchange.exchange.set_book(scene.symbol, scene.bids, scene.asks)
        client = open_venue(
            scene.venue, Keys(exchange.key, exchange.secret), LocalLimiter(scene.venue), exchange.url
        )
        await client.open()
        heard = Heard()
        reader = asyncio.create_task(heard.follow(client))
        await heard.until(lambda h: h.breaks)
        try:
            yield exchange, client, heard
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await client.close()


def order(scene: Scene, number: int = 1, **change: Any) -> NewOrder:
    base = NewOrder(
        f"sx-0000000a-1-{number}-0", scene.symbol, "buy", "limit", D("0.01"), scene.resting, "gtc", False,
        scene.resting,
    )  # fmt: skip
    return replace(base, **change)


def soon() -> int:
    return time.monotonic_ns() + 20_000_000_000


async def agrees(exchange: Emulator, client: VenueClient) -> None:
    """The client's balances are the exchange's own."""
    held = exchange.exchange.accounts["main"].holdings
    told = await client.balances()
    for currency, holding in held.items():
        if holding.free or holding.locked:
            assert (told[currency].free, told[currency].locked) == (holding.free, holding.locked)


@BOTH
async def test_an_order_from_resting_over_two_fills_to_its_end(scene: Scene) -> None:
    async with at(scene) as (exchange, client, heard):
        sent = order(scene, quantity=D("0.01"))
        placed, fills = await client.create(sent, soon())
        assert (placed.status, placed.filled, placed.limit, fills) == ("open", D(0), scene.resting, [])
        assert [o.client_id for o in await client.open_orders(scene.symbol)] == [sent.client_id]
        await agrees(exchange, client)
        exchange.exchange.trade(scene.symbol, scene.resting, D("0.004"), "sell")
        await heard.until(lambda h: len(h.fills) == 1)
        found = await client.find(scene.symbol, sent.client_id, placed.venue_id)
        assert found is not None
        assert (found.status, found.quantity, found.filled) == ("open", D("0.01"), D("0.004"))
        exchange.exchange.trade(scene.symbol, scene.resting, D("0.006"), "sell")
        await heard.until(lambda h: h.orders() and h.last.status == "filled")
        assert [(f.price, f.quantity, f.maker) for f in heard.fills] == [
            (scene.resting, D("0.004"), True),
            (scene.resting, D("0.006"), True),
        ]
        assert {o.quantity for o in heard.orders()} == {D("0.01")}
        assert {e.client_id for e in [*heard.fills, *heard.orders()]} == {sent.client_id}  # type: ignore[attr-defined]
        truth = exchange.exchange.accounts["main"].fills()
        assert [(f.price, f.quantity, f.fee, f.fee_currency) for f in heard.fills] == [
            (f.price, f.quantity, f.fee, f.fee_currency) for f in truth
        ]
        done = await client.find(scene.symbol, sent.client_id, None)
        assert done is not None
        assert done.status == "filled"
        asked = await client.fills(scene.symbol, done)
        assert [(f.trade_id, f.price, f.quantity, f.fee, f.fee_currency) for f in asked] == [
            (f.trade_id, f.price, f.quantity, f.fee, f.fee_currency) for f in heard.fills
        ]
        assert await client.open_orders(scene.symbol) == []
        await agrees(exchange, client)


@BOTH
async def test_the_same_order_taken_at_once_and_cancelled_for_the_rest(scene: Scene) -> None:
    async with at(scene) as (exchange, client, heard):
        taken = order(scene, 1, limit=scene.taking, quantity=D("0.01"), tif="ioc")
        placed, at_once = await client.create(taken, soon())
        await heard.until(lambda h: h.orders() and h.last.status in ("filled", "expired"))
        found = await client.find(scene.symbol, taken.client_id, placed.venue_id)
        assert found is not None
        assert found.status == "filled"
        fills = await client.fills(scene.symbol, found)
        assert [f.quantity for f in fills] == [D("0.002"), D("0.008")]
        assert [(f.trade_id, f.fee) for f in fills] == [(f.trade_id, f.fee) for f in heard.fills]
        if at_once:
            assert [(f.trade_id, f.price, f.fee) for f in at_once] == [
                (f.trade_id, f.price, f.fee) for f in fills
            ]
        # More than there is: the rest ends with the order.
        greedy = order(scene, 2, limit=scene.taking, quantity=D("0.6"), tif="ioc")
        placed, _ = await client.create(greedy, soon())
        await heard.until(lambda h: h.last.client_id == greedy.client_id and h.last.status != "open")
        found = await client.find(scene.symbol, greedy.client_id, None)
        assert found is not None
        assert (found.status, found.filled) == ("expired", D("0.492"))
        resting = order(scene, 3)
        placed, _ = await client.create(resting, soon())
        await client.cancel(scene.symbol, resting.client_id, placed.venue_id)
        await heard.until(lambda h: h.last.client_id == resting.client_id and h.last.status == "cancelled")
        for which in (placed.venue_id, None):
            with pytest.raises(RefusedError) as gone:
                await client.cancel(scene.symbol, resting.client_id, which)
            assert gone.value.code == "gone"
            found = await client.find(scene.symbol, resting.client_id, which)
            assert found is not None
            assert (found.status, found.client_id) == ("cancelled", resting.client_id)
        assert await client.find(scene.symbol, "sx-0000000a-1-zz-0", None) is None
        await agrees(exchange, client)


@BOTH
async def test_market_orders_trade_the_exact_quantity(scene: Scene) -> None:
    async with at(scene) as (exchange, client, heard):
        for number, side in ((1, "buy"), (2, "sell")):
            sent = order(scene, number, kind="market", side=side, limit=None, tif="ioc", quantity=D("0.01"))
            placed, _ = await client.create(sent, soon())
            await heard.until(
                lambda h, i=sent.client_id: h.orders() and (h.last.client_id, h.last.status) == (i, "filled")
            )
            found = await client.find(scene.symbol, sent.client_id, placed.venue_id)
            assert found is not None
            assert (found.status, found.filled) == ("filled", D("0.01"))
        await agrees(exchange, client)


@BOTH
async def test_an_answer_lost_after_acceptance_is_found_by_our_id(scene: Scene) -> None:
    async with at(scene) as (exchange, client, _):
        for number, (action, options) in enumerate(
            (
                ("drop", {}),
                ("answer", {"status": 503, "body": "<html>"}),
                ("answer", {"status": 200, "body": "{"}),
            ),
            start=1,
        ):
            exchange.faults.add("order.create", action, when="after", **options)
            with pytest.raises(UnknownError):
                await client.create(order(scene, number), soon())
            found = await client.find(scene.symbol, order(scene, number).client_id, None)
            assert found is not None
            assert found.status == "open"
        assert len(await client.open_orders(scene.symbol)) == 3
        # The same id again, once more: nothing new is made, and nobody calls it refused.
        with pytest.raises(UnknownError) as again:
            await client.create(order(scene, 1), soon())
        assert again.value.code == "duplicate"
        assert len(await client.open_orders(scene.symbol)) == 3


@BOTH
async def test_an_answer_lost_before_acceptance_is_not_found(scene: Scene) -> None:
    async with at(scene) as (exchange, client, _):
        exchange.faults.add("order.create", "drop", when="before")
        with pytest.raises(UnknownError):
            await client.create(order(scene), soon())
        assert await client.find(scene.symbol, order(scene).client_id, None) is None


@BOTH
async def test_limits_and_bans_are_certain_not_to_have_sent(scene: Scene) -> None:
    async with at(scene) as (exchange, client, _):
        exchange.faults.add("order.create", "limit")
        with pytest.raises(TransientError) as limited:
            await client.create(order(scene), soon())
        assert limited.value.code == "rate-limit"
        assert await client.find(scene.symbol, order(scene).client_id, None) is None
        exchange.faults.add("order.create", "ban")
        with pytest.raises(TransientError):
            await client.create(order(scene, 2), soon())
        # From now on we hold ourselves back, cancels too.
        with pytest.raises(TransientError, match="our own rate limit"):
            await client.cancel(scene.symbol, "sx-0000000a-1-1-0", None)


@BOTH
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": D("1E-8"), "limit": None, "kind": "market", "side": "sell"}, ("minimum", "filter")),
        ({"quantity": D(500)}, ("balance",)),
        ({"limit": "off the grid"}, ("filter",)),
    ],
)
async def test_orders_that_break_the_rules(
    scene: Scene, change: dict[str, Any], code: tuple[str, ...]
) -> None:
    async with at(scene) as (_, client, _):
        if change.get("limit") == "off the grid":
            change = {"limit": scene.resting + D("0.001")}
        before = await client.balances()
        with pytest.raises(RefusedError) as refused:
            await client.create(order(scene, **change), soon())
        assert refused.value.code in code
        assert await client.balances() == before


@BOTH
async def test_the_rules_of_a_market_and_its_suspension(scene: Scene) -> None:
    async with at(scene) as (exchange, client, _):
        market = await client.market(scene.symbol)
        rules = exchange.exchange.markets[scene.symbol].rules
        assert (market.base, market.quote, market.active) == (rules.base, rules.quote, True)
        assert (market.min_notional, market.lot_size) == (rules.min_notional, rules.lot)
        assert (market.maker_fee, market.taker_fee) == (rules.maker, rules.taker)
        assert next(step for start, step in reversed(market.bands) if scene.resting >= start) == (
            D("0.01") if scene.venue == "binance" else D(1000)
        )
        exchange.exchange.markets[scene.symbol].status = "suspended"
        assert not (await client.market(scene.symbol)).active
        with pytest.raises(RefusedError) as suspended:
            await client.create(order(scene), soon())
        assert suspended.value.code == "suspended"
        with pytest.raises(RefusedError, match="did you mean") as unknown:
            await client.market(scene.symbol.replace("BTC", "BTCC"))
        assert unknown.value.code == "unknown-market"


BAD_KEYS = [
    ({"secret": "another-secret"}, "key", "secret"),
    ({"key": "another-key"}, "key", "key"),
    ({"expired": True}, "key", "expired"),
    ({"address": "10.9.8.7"}, ("key", "address"), "address"),
    ({"trade": False}, "permission", "may not"),
    ({"withdraw": True}, "withdrawal", "withdraw"),
]


REFUSALS = [(scene, *case) for scene in SCENES.values() for case in BAD_KEYS]
# Upbit does not tell whether a key may withdraw.
REFUSALS = [r for r in REFUSALS if r[0].venue == "binance" or "withdraw" not in r[1]]


@pytest.mark.parametrize(("scene", "fault", "code", "said"), REFUSALS)
async def test_keys_that_will_not_do(scene: Scene, fault: dict[str, Any], code: object, said: str) -> None:
    async with Emulator(scene.venue, [scene.symbol]) as exchange:
        theirs = {"key": "key-of-the-test", "secret": "secret-of-the-test"}
        ours = Keys(str(fault.get("key", theirs["key"])), str(fault.get("secret", theirs["secret"])))
        exchange.exchange.keys[theirs["key"]] = Key(
            **theirs,  # type: ignore[arg-type]
            account="main",
            **{n: v for n, v in fault.items() if n not in theirs},
        )
        client = open_venue(scene.venue, ours, LocalLimiter(scene.venue), exchange.url)
        with pytest.raises(RefusedError, match=said) as refused:
            await client.open()
        assert refused.value.code in (code if isinstance(code, tuple) else (code,))
        assert "of-the-test" not in str(refused.value)


async def test_a_clock_that_is_off_by_more_than_the_window() -> None:
    async with Emulator("binance", ["BTCUSDT"]) as exchange:
        keys = Keys(exchange.key, exchange.secret)
        exchange.exchange.skew_ns = 4_000_000_000
        client = open_venue("binance", keys, LocalLimiter("binance"), exchange.url)
        with pytest.raises(RefusedError, match=r"clock is 4.0 s behind the venue's"):
            await client.open()
        exchange.exchange.skew_ns = 0
        client = open_venue("binance", keys, LocalLimiter("binance"), exchange.url)
        await client.open()
        exchange.exchange.skew_ns = 4_000_000_000
        with pytest.raises(TransientError) as off:
            await client.balances()
        assert off.value.code == "clock"
        assert "chrony" in str(off.value)
        await client.close()


@BOTH
async def test_a_cut_stream_comes_back_and_says_so(scene: Scene) -> None:
    async with at(scene) as (exchange, client, heard):
        exchange.cut_sockets()
        await heard.until(lambda h: len(h.breaks) == 2)
        assert "lost" in heard.breaks[1]
        await client.create(order(scene), soon())
        await heard.until(lambda h: h.orders())
        assert heard.last.client_id == order(scene).client_id


@BOTH
async def test_a_stream_that_is_refused_is_tried_again(scene: Scene) -> None:
    async with at(scene) as (exchange, _, heard):
        exchange.faults.add("connect", "answer", status=503, times=2)
        exchange.cut_sockets()
        await heard.until(lambda h: len(h.breaks) == 2)
        assert COUNTS[scene.venue, "stream-lost"] >= 3


@BOTH
async def test_a_silent_stream_is_made_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.2)
    async with at(scene) as (exchange, client, heard):
        exchange.faults.add("event.order", "silence")
        await client.create(order(scene, 1), soon())
        await heard.until(lambda h: len(h.breaks) == 2)
        await client.create(order(scene, 2), soon())
        await heard.until(lambda h: h.orders())
        assert heard.last.client_id == order(scene, 2).client_id


@BOTH
async def test_a_line_without_news_is_made_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENCE_S", 0.3)
    async with at(scene) as (_, _, heard):
        await heard.until(lambda h: len(h.breaks) == 2)
        assert "silent" in heard.breaks[1]


@BOTH
async def test_the_stream_ends_with_the_client(scene: Scene) -> None:
    async with Emulator(scene.venue, [scene.symbol]) as exchange:
        keys = Keys(exchange.key, exchange.secret)
        client = open_venue(scene.venue, keys, LocalLimiter(scene.venue), exchange.url)
        await client.open()
        heard = Heard()
        reader = asyncio.create_task(heard.follow(client))
        await heard.until(lambda h: h.breaks)
        await client.close()
        async with asyncio.timeout(PATIENCE):
            await reader


NONSENSE = ["{", "[]", "NaN", b"\xff\x00\x01", '"text"', "[" * 50_000]
REPORTS = {
    "binance": (
        '{"event":[]}',
        '{"e":"executionReport"}',
        '{"e":"executionReport","x":"NEW","X":"EXPLODED","s":"B","S":"BUY","i":1,"q":"1","z":"0","T":1}',
        '{"e":"executionReport","x":"TRADE","X":"NEW","s":"B","S":"BUY","i":1,"q":"-1","z":"0","T":1}',
    ),
    "upbit": (
        '{"type":["myOrder"]}',
        '{"type":"myOrder"}',
        '{"type":"myOrder","code":"KRW-BTC","uuid":"u","ask_bid":"BID","state":"trade","price":-1,"volume":1e400}',
        '{"type":"myOrder","code":"KRW-BTC","uuid":"u","ask_bid":"BID","state":"exploded","price":1,"volume":1}',
    ),
}
ODD = [(scene, odd) for scene in SCENES.values() for odd in (*NONSENSE, *REPORTS[scene.venue])]


@pytest.mark.parametrize(
    ("scene", "odd"), ODD, ids=lambda v: v.venue if isinstance(v, Scene) else str(v)[:30]
)
async def test_a_message_without_sense_is_counted_and_told_as_a_break(scene: Scene, odd: str | bytes) -> None:
    async with at(scene) as (exchange, client, heard):
        before = COUNTS[scene.venue, "malformed"]
        exchange.faults.add("event.order", "answer", body=odd)
        await client.create(order(scene, 1), soon())
        await client.create(order(scene, 2), soon())
        await heard.until(lambda h: h.orders())
        assert {o.client_id for o in heard.orders()} == {order(scene, 2).client_id}
        assert len(heard.breaks) == 2
        assert COUNTS[scene.venue, "malformed"] == before + 1


@BOTH
async def test_no_log_and_no_error_shows_a_secret(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with at(scene) as (exchange, client, _):
            exchange.faults.add("order.get", "drop", times=3)
            with pytest.raises(UnknownError) as lost:
                await client.find(scene.symbol, "sx-0000000a-1-1-0", None)
            await client.create(order(scene), soon())
            exchange.cut_sockets()
    shown = caplog.text + str(lost.value) + repr(lost.value) + "".join(traceback.format_exception(lost.value))
    for secret in (exchange.key, exchange.secret, "signature=", "eyJ"):
        assert secret not in shown.replace("signature=***", "")


FROM_ENVIRONMENT = """
import asyncio, os, sys
from sigma_bot.errors import SigmaError
from sigma_bot.venues.open import connector

async def main():
    try:
        client = connector(sys.argv[1], os.environ["SIGMA_REDIS_URL"])()
        await client.open()
    except SigmaError as error:
        print("no:", error)
        return
    print(sorted(await client.balances()), [n for n in os.environ if "API" in n])
    await client.close()

asyncio.run(main())
"""


@BOTH
async def test_a_client_from_the_environment(scene: Scene, redis_url: str, tmp_path: Path) -> None:
    async with Emulator(scene.venue, [scene.symbol]) as exchange:
        plain = {"SIGMA_VENUE_URL": exchange.url, "SIGMA_REDIS_URL": redis_url, "PATH": os.environ["PATH"]}
        held = sorted(c for c, h in exchange.exchange.accounts["main"].holdings.items() if h.free)
        (tmp_path / "apiKey").write_text(exchange.key)
        (tmp_path / "secret").write_text(exchange.secret)
        for keys, said in (
            ({"SIGMA_API_KEY": exchange.key, "SIGMA_API_SECRET": exchange.secret}, f"{held} []"),
            ({"SIGMA_KEYS_DIR": str(tmp_path)}, f"{held} []"),
            ({}, "no: no API keys: SIGMA_API_KEY is not set"),
            ({"SIGMA_API_KEY": exchange.key, "SIGMA_API_SECRET": "another-secret"}, f"no: {scene.venue}: "),
        ):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", FROM_ENVIRONMENT, scene.venue, env=plain | keys, stdout=subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert output.decode().startswith(said)
            assert process.returncode == 0
