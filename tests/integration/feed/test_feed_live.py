"""The whole feed over real sockets: ccxt.pro's client, a venue that misbehaves, the bus, the recording."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sigma_bot.bus import Bus, open_bus
from sigma_bot.errors import BadInputError
from sigma_bot.feed import feed as feed_module
from sigma_bot.feed.connection_manager import ReconnectPolicy
from sigma_bot.feed.feed import Feed
from sigma_bot.feed.publisher import FeedConflictError
from sigma_bot.feed.recording import recorded
from sigma_bot.model.messages import TickBatch, TickMessage, decode_batch, ticks_log, wants_topic
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.retry import Backoff
from tests.integration.feed.feed_venue import FakeVenue, binance_capture, book, trade, upbit_capture

SOON = ReconnectPolicy(backoff=Backoff(0.01, maximum=0.05))


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[asyncio.Task[None]]:
    """The feed as a task; its errors are the test's."""
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def log_of(bus: Bus, venue: str = "upbit") -> list[TickBatch]:
    """Every batch, whose numbers and times must rise one by one."""
    found: list[TickBatch] = []
    while page := await bus.read(ticks_log(venue), found[-1].seq if found else -1):
        found += [decode_batch(payload) for _, payload in page]
    assert [b.seq for b in found] == list(range(found[0].seq, found[0].seq + len(found)))
    assert all(b.ts % INTERVAL == 0 for b in found)
    assert all(b.ts > a.ts for a, b in itertools.pairwise(found))
    return found


async def heard(bus: Bus, holds: Callable[[TickBatch], bool], venue: str = "upbit") -> TickBatch:
    """The first batch from now on for which something holds."""
    async with asyncio.timeout(20), bus.subscribe(ticks_log(venue)) as messages:
        async for _, payload in messages:
            batch = decode_batch(payload)
            if holds(batch):
                return batch
    raise AssertionError("the bus ended")


async def settle(check: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


def ticks_of(batches: list[TickBatch], symbol: str) -> list[TickMessage]:
    return [t for b in batches for t in b.ticks if t.symbol == symbol]


async def test_captured_upbit_messages_become_ticks(
    fake: FakeVenue, tmp_path: Path, shared_data: Path
) -> None:
    """A real capture, replayed as fast as it goes: nothing is lost, nothing is counted twice."""
    messages = [m for _, m in upbit_capture(shared_data)]
    symbols = {"KRW-LAMB", "KRW-WAVES", "BTC-XTZ"}
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, symbols, tmp_path)
    async with running(feed):
        await fake.until(lambda: bool(fake.requests))
        for message in messages:
            await fake.send(message)
        expected = sum(m["code"] in symbols for m in messages)
        await settle(lambda: feed.counters.messages == len(messages))
        await heard(bus, lambda b: True)
        await heard(bus, lambda b: True)
    batches = await log_of(bus)
    assert sum(c.messages for c in feed.counters.symbols.values()) == expected
    assert fake.requests[0][1:] == [{"type": k, "codes": sorted(symbols)} for k in ("orderbook", "trade")]
    for symbol in symbols:
        ours = [m for m in messages if m["code"] == symbol]
        trades = [m for m in ours if m["type"] == "trade"]
        books = [m for m in ours if m["type"] == "orderbook"]
        ticks = ticks_of(batches, symbol)
        assert sum(t.volume for t in ticks) == pytest.approx(sum(m["trade_volume"] for m in trades), abs=1e-8)
        assert max(t.high for t in ticks) >= max((m["trade_price"] for m in trades), default=0)
        best = books[-1]["orderbook_units"][0]
        assert (ticks[-1].bid, ticks[-1].ask) == (best["bid_price"], best["ask_price"])
        assert max(t.exchange_ts for t in ticks) // 1_000_000 in {m.get("timestamp") for m in ours} | {
            m.get("trade_timestamp") for m in trades
        }
    table = recorded(tmp_path, "upbit", ["KRW-LAMB"], batches[0].seq, batches[-1].seq).tables["KRW-LAMB"]
    assert table["bid"].to_pylist() == [t.bid for t in ticks_of(batches, "KRW-LAMB")]
    assert table["received_ts"].to_pylist() == [t.received_ts for t in ticks_of(batches, "KRW-LAMB")]


async def test_captured_binance_messages_become_ticks(fake: FakeVenue, shared_data: Path) -> None:
    messages = [m for _, m in binance_capture(shared_data)]
    symbols = sorted({m["s"] for m in messages})
    bus = open_bus("memory://")
    feed = Feed("binance", bus, symbols)
    async with running(feed):
        await fake.until(lambda: bool(fake.requests))
        await fake.send({"result": None, "id": 1}, binary=False)
        for message in messages:
            await fake.send(message, binary=False)
        await settle(lambda: feed.counters.messages == len(messages))
        await heard(bus, lambda b: True, "binance")
        await heard(bus, lambda b: True, "binance")
    assert feed.counters.malformed == feed.counters.refusals == 0
    batches = await log_of(bus, "binance")
    for symbol in symbols:
        ours = [m for m in messages if m["s"] == symbol]
        last = [m for m in ours if "A" in m]
        ticks = ticks_of(batches, symbol)
        if last:
            assert (ticks[-1].bid_size, ticks[-1].ask_size) == (float(last[-1]["B"]), float(last[-1]["A"]))
            traded = sum(float(m["q"]) for m in ours if m.get("e") == "trade")
            assert sum(t.volume for t in ticks) == pytest.approx(traded, abs=1e-8)


def test_our_reading_of_a_message_is_ccxts(shared_data: Path) -> None:
    """The same captured messages through ccxt's own parsers."""
    from sigma_bot.venues.ccxt_client import exchange_class
    from sigma_bot.venues.public import Quote, Trade
    from sigma_bot.venues.registry import public_protocol

    upbit, binance = exchange_class("upbit", "pro")(), exchange_class("binance", "pro")()
    compared = 0
    for _, message in upbit_capture(shared_data):
        event = public_protocol("upbit").read(message)
        if isinstance(event, Trade):
            theirs = upbit.parse_trade(message)
            assert (event.price, event.size) == (theirs["price"], theirs["amount"])
            assert str(event.id) == theirs["id"]
            # ccxt gives the time of sending; the trade's own was cut to seconds in 2021.
            assert 0 <= theirs["timestamp"] - event.exchange_ts // 1_000_000 < 5000
        elif isinstance(event, Quote):
            units = message["orderbook_units"]
            raw = {
                side: [[u[f"{side[:-1]}_price"], u[f"{side[:-1]}_size"]] for u in units]
                for side in ("bids", "asks")
            }
            theirs = upbit.parse_order_book(raw, "X/Y", message["timestamp"])
            assert [event.bid, event.bid_size] == theirs["bids"][0]
            assert [event.ask, event.ask_size] == theirs["asks"][0]
        compared += event is not None
    for _, message in binance_capture(shared_data):
        event = public_protocol("binance").read(message)
        if isinstance(event, Trade):
            theirs = binance.parse_ws_trade(message)
            assert (event.price, event.size, str(event.id)) == (
                theirs["price"],
                theirs["amount"],
                theirs["id"],
            )
            assert event.exchange_ts // 1_000_000 == theirs["timestamp"]
            compared += 1
    assert compared > 400


async def test_a_cut_is_a_gap_and_nothing_else_is(fake: FakeVenue, tmp_path: Path) -> None:
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC", "KRW-ETH"], tmp_path, SOON)
    async with running(feed):
        await fake.until(lambda: bool(fake.requests))
        waiting = asyncio.create_task(heard(bus, lambda b: len(b.ticks) == 2))
        await fake.send(book("KRW-BTC", 100, 101))
        await fake.send(book("KRW-ETH", 10, 11))
        assert (await waiting).gaps == ()
        await fake.cut()
        await fake.until(lambda: len(fake.requests) == 2)
        # A trade alone must not come out with the quote from before the cut.
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(trade("KRW-BTC", 150, 1, 1))
        await fake.send(book("KRW-ETH", 20, 21))
        batch = await waiting
        assert ([t.symbol for t in batch.ticks], batch.gaps) == (["KRW-ETH"], ("KRW-ETH",))
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(book("KRW-BTC", 150, 151))
        batch = await waiting
        assert (batch.gaps, batch.ticks[0].bid, batch.ticks[0].volume) == (("KRW-BTC",), 150, 1)
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(book("KRW-BTC", 151, 152))
        assert (await waiting).gaps == ()
    assert (feed.counters.reconnects, feed.counters.connections, feed.counters.gaps) == (1, 2, 2)
    table = recorded(tmp_path, "upbit", ["KRW-BTC"], 1, feed.counters.last_seq).tables["KRW-BTC"]
    assert table["gap"].to_pylist() == [False, True, False]


async def test_a_venue_that_refuses_is_tried_again(fake: FakeVenue) -> None:
    fake.refuse = True
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=SOON)
    async with running(feed):
        await settle(lambda: "503" in feed.counters.last_error)
        await heard(bus, lambda b: True)
        assert not feed.counters.connected
        fake.refuse = False
        await fake.until(lambda: bool(fake.requests))
        await settle(lambda: feed.counters.connected)
    assert all(b.ticks == () for b in await log_of(bus))  # the heartbeat went on


async def test_a_planned_renewal_leaves_no_gap_and_doubles_nothing(fake: FakeVenue) -> None:
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC", "KRW-ETH"], policy=replace(SOON, renew=0.5, overlap=60.0))
    async with running(feed):
        await fake.until(lambda: len(fake.requests) == 1)
        await fake.send(book("KRW-BTC", 100, 101))
        await fake.send(book("KRW-ETH", 10, 11))
        await fake.until(lambda: len(fake.sockets) == 2 and len(fake.requests) == 2)
        for number, symbol in enumerate(("KRW-BTC", "KRW-ETH")):
            await fake.send(trade(symbol, 100, 1, number))  # over both connections
            await fake.send(book(symbol, 102, 103))
        await fake.until(lambda: len(fake.sockets) == 1)
        await fake.send(trade("KRW-BTC", 104, 1, 99))
        await fake.send(book("KRW-BTC", 104, 105))
        await heard(bus, lambda b: True)
        await heard(bus, lambda b: True)
    batches = await log_of(bus)
    assert sum(t.volume for t in ticks_of(batches, "KRW-BTC")) == 2
    assert sum(t.volume for t in ticks_of(batches, "KRW-ETH")) == 1
    assert ticks_of(batches, "KRW-BTC")[-1].bid == 104
    assert feed.counters.renewals >= 1
    assert (feed.counters.gaps, feed.counters.reconnects) == (0, 0)


async def test_during_a_renewal_the_older_line_may_lag(fake: FakeVenue) -> None:
    """Its quotes of a symbol count no more once the newer line has brought one; its trades do."""
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC", "KRW-ETH"], policy=replace(SOON, renew=0.3, overlap=60.0))
    async with running(feed):
        await fake.until(lambda: len(fake.sockets) == 2 and len(fake.requests) == 2)
        await fake.send(book("KRW-BTC", 102, 103))
        await settle(lambda: feed.counters.symbols["KRW-BTC"].messages == 2)
        await fake.send(book("KRW-BTC", 100, 101), first=True)
        await fake.send(trade("KRW-BTC", 100, 1, 1), first=True)
        await settle(lambda: feed.counters.symbols["KRW-BTC"].messages == 4)
        await heard(bus, lambda b: True)
        await heard(bus, lambda b: True)
    ticks = ticks_of(await log_of(bus), "KRW-BTC")
    assert (ticks[-1].bid, sum(t.volume for t in ticks)) == (102, 1)


async def test_the_old_line_lost_during_a_renewal(fake: FakeVenue) -> None:
    """The venue cuts the old connection before the new one has brought everything: a gap, and data go on."""
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=replace(SOON, renew=0.3, overlap=60.0))
    async with running(feed):
        await fake.until(lambda: len(fake.sockets) == 2 and len(fake.requests) == 2)
        await fake.cut()
        await fake.until(lambda: len(fake.requests) >= 3)
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(book("KRW-BTC", 100, 101))
        assert (await waiting).gaps == ("KRW-BTC",)


async def test_a_silent_socket_is_given_up(fake: FakeVenue) -> None:
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=replace(SOON, silent=0.3))
    async with running(feed):
        await fake.until(lambda: len(fake.requests) == 1)
        await fake.send(book("KRW-BTC", 100, 101))
        await fake.until(lambda: len(fake.requests) == 2)
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(book("KRW-BTC", 100, 101))
        assert (await waiting).gaps == ("KRW-BTC",)
    assert feed.counters.reconnects >= 1
    assert feed.counters.last_error == "nothing was heard"


async def test_one_silent_symbol_is_asked_for_again(fake: FakeVenue) -> None:
    """The other goes on without a gap."""
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC", "KRW-ETH"], policy=replace(SOON, quiet=0.4))
    async with running(feed):
        await fake.until(lambda: len(fake.requests) == 1)
        await fake.send(book("KRW-BTC", 100, 101))
        await fake.send(book("KRW-ETH", 10, 11))
        bid = 100.0
        while len(fake.requests) == 1:
            bid += 1
            await fake.send(book("KRW-BTC", bid, bid + 1))
            await heard(bus, lambda b: True)
        waiting = asyncio.create_task(heard(bus, lambda b: any(t.symbol == "KRW-ETH" for t in b.ticks)))
        await fake.send(book("KRW-ETH", 10, 11))
        assert (await waiting).gaps == ("KRW-ETH",)
        assert len(fake.sockets) == 1
    assert (feed.counters.symbols["KRW-ETH"].silences, feed.counters.reconnects) == (1, 0)


HOSTILE: list[bytes | str] = [
    b"", b"{", b"\xff\xfe\x00", "[1, 2", "null", "1e400", "NaN", "[]", '"x"', "{}", "[" * 100_000,
    '{"type":"orderbook","code":"KRW-BTC"}', '{"type":"trade","code":"KRW-BTC","trade_price":"NaN"}',
    json.dumps({**book("KRW-BTC", 1, 2), "timestamp": "x"}), json.dumps(book("KRW-BTC", 5, 1)),
    json.dumps(trade("KRW-BTC", -1, 1, 1)), json.dumps(trade("KRW-BTC", 1, -1, 1)),
    json.dumps(trade("KRW-BTC", 1, 1, -1)), "A" * 200_000, '{"error":{"name":"WRONG_FORMAT","message":"no"}}',
]  # fmt: skip


async def test_malformed_messages_are_counted_and_harm_nothing(fake: FakeVenue) -> None:
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=SOON)
    async with running(feed):
        await fake.until(lambda: len(fake.requests) == 1)
        for message in HOSTILE:
            await fake.send(message, binary=isinstance(message, bytes))
            await fake.send(message)
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
        await fake.send(book("KRW-BTC", 100, 101))
        batch = await waiting
        counters = feed.counters
    assert batch.gaps == ()
    assert counters.reconnects == 0
    assert counters.refusals == 2
    assert counters.symbols["KRW-BTC"].malformed == 2 * 7
    assert counters.malformed == 2 * (len(HOSTILE) - 8)
    assert [t.bid for t in ticks_of(await log_of(bus), "KRW-BTC")] == [100]


async def test_bots_say_what_they_need(fake: FakeVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "WANTS_S", 0.02)
    monkeypatch.setattr(feed_module, "LINGER_S", 0.1)
    bus = open_bus("memory://")
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=SOON)

    def asked() -> list[str]:
        return fake.requests[-1][1]["codes"] if fake.requests else []

    async with running(feed):
        await fake.until(lambda: asked() == ["KRW-BTC"])
        await bus.want(wants_topic("upbit"), "bot-1", ["KRW-ETH", "KRW-BTC", "KRW-NONE", "../x"], 60)
        await fake.until(lambda: asked() == ["KRW-BTC", "KRW-ETH"])
        await bus.want(wants_topic("upbit"), "bot-2", ["KRW-XRP"], 60)
        await fake.until(lambda: asked() == ["KRW-BTC", "KRW-ETH", "KRW-XRP"])
        waiting = asyncio.create_task(heard(bus, lambda b: any(t.symbol == "KRW-ETH" for t in b.ticks)))
        await fake.send(book("KRW-ETH", 10, 11))
        await waiting
        await bus.want(wants_topic("upbit"), "bot-1", [], 60)
        await fake.until(lambda: asked() == ["KRW-BTC", "KRW-XRP"])
        assert feed.symbols == {"KRW-BTC", "KRW-XRP"}
        await fake.send(book("KRW-ETH", 20, 21))  # still on its way
        await fake.send(book("KRW-BTC", 20, 21))
        await heard(bus, lambda b: bool(b.ticks))
        assert len(fake.sockets) == 1  # all on one connection
    assert [t.bid for t in ticks_of(await log_of(bus), "KRW-ETH")] == [10]


async def test_a_feed_that_nobody_needs_only_beats(fake: FakeVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "WANTS_S", 0.02)
    monkeypatch.setattr(feed_module, "LINGER_S", 0.0)
    bus = open_bus("memory://")
    async with running(Feed("upbit", bus, policy=SOON)):
        await heard(bus, lambda b: True)
        assert fake.sockets == []
        await bus.want(wants_topic("upbit"), "bot", ["KRW-BTC"], 60)
        await fake.until(lambda: len(fake.requests) == 1)
        await bus.want(wants_topic("upbit"), "bot", [], 60)
        await fake.until(lambda: fake.sockets == [])


async def test_numbers_go_on_after_a_restart_behind_a_gap(fake: FakeVenue, tmp_path: Path) -> None:
    bus = open_bus("memory://")
    seen = time.time_ns() // INTERVAL  # nothing is known: beyond all numbers that a bot may have seen
    for life in range(3):
        async with running(Feed("upbit", bus, ["KRW-BTC"], tmp_path, SOON)):
            await fake.until(lambda: len(fake.requests) == life + 1)  # noqa: B023
            waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks)))
            await fake.send(book("KRW-BTC", 100 + life, 101 + life))
            batch = await waiting
            assert batch.seq > seen
            assert batch.gaps == (("KRW-BTC",) if life else ())
            seen = batch.seq
    batches = await log_of(bus)
    found = recorded(tmp_path, "upbit", ["KRW-BTC"], batches[0].seq, batches[-1].seq)
    assert found.missing == ()
    assert found.tables["KRW-BTC"]["gap"].to_pylist() == [False, True, True]


async def test_a_second_feed_of_the_venue_is_refused(fake: FakeVenue) -> None:
    bus = open_bus("memory://")
    async with running(Feed("upbit", bus, policy=SOON)) as first:
        await heard(bus, lambda b: True)
        with pytest.raises(FeedConflictError, match="another feed of upbit"):
            await Feed("upbit", bus).run()
        assert not first.done()


async def test_two_feeds_at_once_are_noticed(fake: FakeVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found the log quiet: one of them soon finds what it did not write."""
    from sigma_bot.feed import publisher

    monkeypatch.setattr(publisher, "CHECK", 1)
    bus = open_bus("memory://")
    feeds = [asyncio.create_task(Feed("upbit", bus, ["KRW-BTC"], policy=SOON).run()) for _ in range(2)]
    async with asyncio.timeout(20):
        while not any(task.done() for task in feeds):
            await fake.send(book("KRW-BTC", 10, 11))
            await asyncio.wait(feeds, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
    [loser] = [task for task in feeds if task.done()]
    [winner] = [task for task in feeds if not task.done()]
    with pytest.raises(FeedConflictError, match="stop one of them"):
        loser.result()
    winner.cancel()
    await asyncio.wait(feeds)


@pytest.mark.parametrize(("ahead_ms", "venue"), [(5000, "binance"), (0, "upbit")])
async def test_the_venues_clock_is_measured(fake: FakeVenue, ahead_ms: int, venue: str) -> None:
    fake.ahead_ms = ahead_ms
    feed = Feed(venue, open_bus("memory://"))
    async with running(feed):
        await settle(lambda: feed.counters.clock_offset_ns is not None)
    offset, accuracy = feed.counters.clock_offset_ns, feed.counters.clock_accuracy_ns
    assert offset is not None
    assert accuracy is not None
    assert abs(offset - ahead_ms * 1_000_000) <= accuracy


async def test_a_symbol_that_does_not_exist_is_refused(fake: FakeVenue) -> None:
    with pytest.raises(BadInputError, match="no market 'KRW-BTG'; did you mean 'KRW-BTC'"):
        await Feed("upbit", open_bus("memory://"), ["KRW-BTG"]).run()
    with pytest.raises(BadInputError, match="no symbol of a venue"):
        Feed("upbit", open_bus("memory://"), ["BTC/KRW"])


async def test_bithumb_speaks_as_upbit(fake: FakeVenue) -> None:
    bus = open_bus("memory://")
    feed = Feed("bithumb", bus, ["KRW-BTC", "KRW-ETH"])
    async with running(feed):
        await fake.until(lambda: bool(fake.requests))
        assert fake.requests[0][1]["codes"] == ["KRW-BTC", "KRW-ETH"]  # both in one request
        waiting = asyncio.create_task(heard(bus, lambda b: bool(b.ticks), "bithumb"))
        await fake.send({"status": "UP"}, binary=False)
        await fake.send(book("KRW-ETH", 10, 11))
        await waiting
    assert feed.counters.malformed == 0
