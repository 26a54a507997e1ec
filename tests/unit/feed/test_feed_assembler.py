"""Events to batches: one clock, honest gaps, no trade twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.feed.assembler import REMEMBERED, Assembler
from sigma_bot.model.messages import TickMessage
from sigma_bot.model.ticks import INTERVAL, TickBuilder
from sigma_bot.venues.public import Quote, Trade

T = 1_000 * INTERVAL


def quote(symbol: str = "A", bid: float = 10.0, ts: int = 5) -> Quote:
    return Quote(symbol, bid, bid + 1, 1.0, 2.0, ts)


def trade(number: int, symbol: str = "A", price: float = 10.0, size: float = 1.0, ts: int = 7) -> Trade:
    return Trade(symbol, price, size, ts, number)


def assembler(*symbols: str, gap: bool = False) -> Assembler:
    made = Assembler()
    for symbol in symbols:
        made.add(symbol, gap)
    return made


def test_a_batch_holds_each_symbol_with_news_in_order_of_names() -> None:
    feed = assembler("B", "A", "C")
    feed.event(quote("B"), T + 1)
    feed.event(quote("A"), T + 2)
    gaps, ticks = feed.close(T + INTERVAL)
    assert gaps == ()
    assert [t.symbol for t in ticks] == ["A", "B"]
    assert feed.close(T + 2 * INTERVAL) == ((), ())


def test_a_tick_carries_the_times_of_its_own_newest_event() -> None:
    feed = assembler("A")
    feed.event(quote(ts=11), T + 1)
    feed.event(trade(1, ts=9), T + 3)
    _, [tick] = feed.close(T + INTERVAL)
    assert tick == TickMessage("A", 10.0, 11.0, 1.0, 2.0, 10.0, 1.0, 10.0, 10.0, 11, T + 3)
    feed.event(Quote("A", 10.0, 11.0, 1.0, 2.0, 0), T + INTERVAL + 4)
    _, [tick] = feed.close(T + 2 * INTERVAL)
    assert (tick.exchange_ts, tick.received_ts) == (0, T + INTERVAL + 4)


def test_a_late_clock_loses_and_mixes_nothing() -> None:
    """Events of three intervals come before the first is closed."""
    feed = assembler("A")
    feed.event(quote(bid=10.0, ts=1), T + 1)
    feed.event(quote(bid=20.0, ts=2), T + INTERVAL + 1)
    feed.event(quote(bid=30.0, ts=3), T + 2 * INTERVAL + 1)
    for number, bid in ((1, 10.0), (2, 20.0), (3, 30.0)):
        _, [tick] = feed.close(T + number * INTERVAL)
        assert (tick.bid, tick.exchange_ts) == (bid, number)


def test_after_a_hole_no_tick_until_a_fresh_quote_and_the_first_says_so() -> None:
    feed = assembler("A", "B")
    feed.event(quote("A"), T + 1)
    feed.event(quote("B"), T + 1)
    feed.close(T + INTERVAL)
    feed.hole("A")
    feed.event(trade(1), T + INTERVAL + 1)
    feed.event(quote("B"), T + INTERVAL + 1)
    gaps, ticks = feed.close(T + 2 * INTERVAL)
    assert (gaps, [t.symbol for t in ticks]) == ((), ["B"])
    feed.event(quote("A", bid=12.0), T + 2 * INTERVAL + 1)
    gaps, [tick] = feed.close(T + 3 * INTERVAL)
    assert (gaps, tick.bid) == (("A",), 12.0)
    feed.event(quote("A"), T + 3 * INTERVAL + 1)
    assert feed.close(T + 4 * INTERVAL)[0] == ()


def test_a_hole_does_not_mark_the_tick_before_it() -> None:
    feed = assembler("A")
    feed.event(quote(bid=10.0), T + 1)
    feed.hole("A")
    gaps, [tick] = feed.close(T + INTERVAL)
    assert (gaps, tick.bid) == ((), 10.0)
    feed.event(quote(bid=11.0), T + INTERVAL + 1)
    assert feed.close(T + 2 * INTERVAL)[0] == ("A",)


def test_a_hole_within_one_interval_leaves_one_marked_tick() -> None:
    feed = assembler("A")
    feed.event(quote(bid=10.0), T + 1)
    feed.hole("A")
    feed.event(quote(bid=11.0), T + 2)
    gaps, [tick] = feed.close(T + INTERVAL)
    assert (gaps, tick.bid) == (("A",), 11.0)


def test_two_holes_mark_once() -> None:
    feed = assembler("A", gap=True)
    feed.hole("A")
    feed.event(quote(), T + 1)
    assert feed.close(T + INTERVAL)[0] == ("A",)


def test_a_trade_counts_once() -> None:
    feed = assembler("A")
    feed.event(quote(), T + 1)
    assert feed.event(trade(5, size=2.0), T + 2)
    assert not feed.event(trade(5, size=2.0), T + 3)
    assert feed.event(trade(4, size=1.0), T + 4)  # not strictly ascending, and not a repeat
    _, [tick] = feed.close(T + INTERVAL)
    assert tick.volume == 3.0


def test_repeats_are_remembered_within_bounds_and_across_holes() -> None:
    feed = assembler("A")
    for number in range(REMEMBERED + 10):
        feed.event(trade(number), T + 1)
    feed.hole("A")
    assert not feed.event(trade(REMEMBERED + 9), T + 2)
    assert feed.event(trade(3), T + 3)


def test_unknown_and_dropped_symbols_are_left_out() -> None:
    feed = assembler("A")
    assert not feed.event(quote("Z"), T + 1)
    feed.event(quote("A"), T + 1)
    feed.drop("A")
    feed.hole("A")
    assert feed.close(T + INTERVAL) == ((), ())


EVENTS = st.lists(
    st.tuples(st.integers(0, 30_000_000), st.booleans(), st.integers(1, 50), st.sampled_from(["A", "B"])),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.lists(st.integers(0, 5), max_size=60))
def test_whatever_the_clocks_delays_the_ticks_are_those_of_the_builder(
    steps: list[tuple[int, bool, int, str]], delays: list[int]
) -> None:
    """Closing late, several intervals at once, changes nothing of what the builder alone would give."""
    alone = {symbol: TickBuilder() for symbol in "AB"}
    expected = []
    feed, closed, got = assembler("A", "B"), T, []
    now = T
    for number, (step, is_trade, price, symbol) in enumerate(steps):
        now += step
        delay = delays[number % len(delays)] if delays else 0
        while closed + INTERVAL <= now - delay * INTERVAL:
            closed += INTERVAL
            got += [(closed, t.symbol, t.bid, t.last, t.volume) for t in feed.close(closed)[1]]
        if is_trade:
            row = alone[symbol].trade(now, float(price), 1.0)
            feed.event(trade(number, symbol, float(price)), now)
        else:
            row = alone[symbol].quote(now, float(price), price + 1.0, 1.0, 2.0)
            feed.event(quote(symbol, float(price)), now)
        expected += [(row.ts, symbol, row.bid, row.last, row.volume)] if row is not None else []
    end = now - now % INTERVAL + INTERVAL
    for symbol, builder in alone.items():
        row = builder.flush(end)
        expected += [(row.ts, symbol, row.bid, row.last, row.volume)] if row is not None else []
    while closed < end:
        closed += INTERVAL
        got += [(closed, t.symbol, t.bid, t.last, t.volume) for t in feed.close(closed)[1]]
    assert got == sorted(expected)
