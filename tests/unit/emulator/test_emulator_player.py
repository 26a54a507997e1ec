"""The player: rows into books and trades, and where it stands."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import Any

import pytest

from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.model import TapeEvent, Ticket
from sigma_bot.emulator.player import Player, prints
from sigma_bot.emulator.recording import Row, fitting, recorded
from sigma_bot.emulator.registry import emulated, rules_for
from sigma_bot.errors import BadInputError

SECOND = 1_000_000_000


def row(second: float = 0, bid: float = 99.0, ask: float = 101.0, volume: float = 0.0, **more: float) -> Row:
    last = more.get("last", ask)
    return Row(
        int(second * SECOND), "BTCUSDT", bid, ask, more.get("bid_size", 1.5), more.get("ask_size", 2.5),
        last, volume, more.get("low", last), more.get("high", last),
    )  # fmt: skip


def player(*rows: Row, **options: Any) -> Player:
    exchange = Exchange(emulated("binance").style, rules_for("binance", ["BTCUSDT"]))
    exchange.add_account("a", {"USDT": D(100_000)})
    return Player(exchange, lambda: iter(rows), **options)


def test_a_row_is_a_book_of_some_depth_and_its_trades():
    made = player(row(volume=1.0, last=101.0, low=99.0, high=102.0), depth=3)
    seen = []
    made.exchange.listeners.append(lambda e: seen.append(e.trade) if isinstance(e, TapeEvent) else None)
    made.step()
    market = made.exchange.markets["BTCUSDT"]
    assert market.levels("buy") == [(D(99), D("1.5")), (D("98.99"), D("1.5")), (D("98.98"), D("1.5"))]
    assert market.levels("sell")[0] == (D(101), D("2.5"))
    assert [(t.price, t.taker) for t in seen] == [(D(99), "sell"), (D(102), "buy"), (D(101), "buy")]
    assert sum(t.size for t in seen) == 1
    assert made.step() is None


@pytest.mark.parametrize(
    ("values", "prices"),
    [
        ((5.0, 5.0, 5.0), [5]),
        ((4.0, 5.0, 5.0), [4, 5]),
        ((4.0, 5.0, 6.0), [4, 6, 5]),
        ((5.0, 5.0, 6.0), [6, 5]),
    ],
)
def test_as_few_trades_as_make_low_last_and_high(values, prices):
    low, last, high = values
    made = list(prints(row(volume=1.0, low=low, last=last, high=high)))
    assert [p for p, _ in made] == prices
    assert sum(q for _, q in made) == 1
    assert list(prints(row(volume=0.0))) == []


def test_replayed_trades_fill_what_rests():
    made = player(row(0), row(1, volume=4.0, last=98.0))
    made.step()
    order = made.exchange.place("a", Ticket("BTCUSDT", "buy", "limit", D(1), None, D(99)))
    made.step()
    assert [(f.price, f.maker) for f in order.fills] == [(D(99), True)]


def test_data_of_trades_only_get_a_spread_of_one_tick():
    made = player(row(bid=100.0, ask=100.0, bid_size=0.0, ask_size=0.0, volume=2.0))
    made.step()
    market = made.exchange.markets["BTCUSDT"]
    assert (market.best("buy"), market.best("sell")) == ((D(100), D(2)), (D("100.01"), D(2)))


async def test_it_plays_to_the_end_waits_there_and_goes_back_when_told():
    made = player(row(0), row(1), row(2), speed=1000.0)
    task = asyncio.create_task(made.run())
    while not made.finished:
        await asyncio.sleep(0.001)
    assert (made.played, made.state()["position"]) == (3, "2.0")
    made.control(None, None, 1.0)
    while made.played < 5:
        await asyncio.sleep(0.001)
    task.cancel()


async def test_paused_it_plays_nothing_and_then_goes_on_in_time():
    made = player(row(0), row(3600), speed=36_000.0, paused=True)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0.01)
    assert made.played == 0
    made.control(False, None, None)
    while made.played < 2:
        await asyncio.sleep(0.001)
    task.cancel()


async def test_with_loop_it_begins_again():
    made = player(row(0), row(1), speed=1000.0, loop=True)
    task = asyncio.create_task(made.run())
    while made.played < 6:
        await asyncio.sleep(0.001)
    task.cancel()


@pytest.mark.parametrize(("speed", "seek"), [(0, None), (-1, None), (None, -1), ("nan", None), ("inf", None)])
def test_impossible_controls_are_refused(speed, seek):
    made = player(row(0))
    with pytest.raises(BadInputError, match=r"(speed|seek) is"):
        made.control(None, speed, seek)


def test_generated_data_and_a_grid_that_fits_them():
    source = recorded("synthetic", ["KRW-BTC", "KRW-ETH"])
    rows = [r for r, _ in zip(source(), range(6), strict=False)]
    assert [r.symbol for r in rows] == ["KRW-BTC", "KRW-ETH"] * 3
    assert [r.ts for r in rows] == sorted(r.ts for r in rows)
    fitted = fitting(rules_for("upbit", ["KRW-BTC"]), recorded("synthetic", ["KRW-BTC"]))
    assert fitted[0].bands == ((D(0), D("0.01")),)
    kept = fitting(rules_for("binance", ["BTCUSDT"]), recorded("synthetic", ["BTCUSDT"]))
    assert kept == rules_for("binance", ["BTCUSDT"])


def test_a_file_of_ticks_is_played_and_one_of_bars_refused(tmp_path):
    quotes = tmp_path / "BTCUSDT.csv"
    quotes.write_text(
        "ts,bid,ask,bid_size,ask_size\n"
        "2026-01-01T00:00:00Z,99.5,100.5,1,2\n"
        "2026-01-01T00:00:01Z,99.6,100.4,3,4\n"
    )
    rows = list(recorded(str(quotes), ["BTCUSDT"])())
    assert [(r.bid, r.ask_size) for r in rows] == [(99.5, 2.0), (99.6, 4.0)]
    bars = tmp_path / "bars.csv"
    bars.write_text("ts,open,high,low,close,volume\n2026-01-01,1,2,1,2,9\n2026-01-02,1,2,1,2,9\n")
    with pytest.raises(BadInputError, match="bars"):
        next(recorded(str(bars), ["BTCUSDT"])())
