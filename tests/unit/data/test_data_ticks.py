"""The tick builder: what a tick holds, and that the builder for columns agrees with it to the last bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sigma_bot.data.build import TickState, bars_from_bars, bars_from_trades, build_ticks, stream_ticks
from sigma_bot.model.ticks import INTERVAL, TickBuilder, TickRow

MS = 1_000_000
PRICE = st.integers(1, 10**7).map(lambda i: i / 100)
SIZE = st.integers(0, 10**9).map(lambda i: i / 1e8)
QUOTE = st.tuples(st.just("q"), PRICE, PRICE, SIZE, SIZE)
TRADE = st.tuples(st.just("t"), PRICE, SIZE)
EVENTS = st.lists(st.tuples(st.integers(0, 250 * MS), st.one_of(QUOTE, TRADE)), max_size=60)


def incremental(events, quotes):
    builder, rows, ts = TickBuilder(quotes=quotes), [], 0
    for gap, (kind, *values) in events:
        ts += gap
        row = builder.quote(ts, *values) if kind == "q" else builder.trade(ts, *values)
        rows += [row] if row is not None else []
    row = builder.flush(ts + INTERVAL)
    return rows + ([row] if row is not None else [])


def columns(events):
    times = np.cumsum([gap for gap, _ in events]).astype(np.int64)
    quotes = [(int(t), *e[1:]) for t, (_, e) in zip(times, events, strict=True) if e[0] == "q"]
    trades = [(int(t), *e[1:]) for t, (_, e) in zip(times, events, strict=True) if e[0] == "t"]
    return table(quotes, "ts bid ask bid_size ask_size"), table(trades, "ts price size")


def table(rows, names):
    names = names.split()
    cells = list(zip(*rows, strict=True)) or [()] * len(names)
    return {n: np.array(c, np.int64 if n == "ts" else np.float64) for n, c in zip(names, cells, strict=True)}


def bits(row):
    return row[0], *(struct.pack("<d", float(v)) for v in row[1:])


def as_rows(ticks):
    return [TickRow(*values) for values in zip(*(v.tolist() for v in ticks.values()), strict=True)]


@given(EVENTS, st.booleans())
@example([(0, ("t", 1.0, 0.1)), (1, ("t", 1.0, 0.2)), (1, ("q", 1.0, 2.0, 0.0, 0.0))], True)
@settings(max_examples=300, deadline=None)
def test_columns_and_events_agree_bit_for_bit(events, quotes):
    if not quotes:
        events = [e for e in events if e[1][0] == "t"]
    one = incremental(events, quotes)
    two = as_rows(build_ticks(*columns(events), TickState(quotes=quotes)))  # type: ignore[call-arg] # seven columns
    assert [bits(r) for r in one] == [bits(r) for r in two]


@given(EVENTS, st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_the_cut_into_chunks_does_not_matter(events, quote_size, trade_size):
    quotes, trades = columns(events)

    def cut(rows, size):
        for start in range(0, len(rows["ts"]), size):
            yield {n: v[start : start + size] for n, v in rows.items()}

    pieces = list(stream_ticks(cut(quotes, quote_size), cut(trades, trade_size)))
    whole = as_rows(build_ticks(quotes, trades, TickState()))
    assert [bits(r) for p in pieces for r in as_rows(p)] == [bits(r) for r in whole]


def test_a_tick_is_stamped_at_the_end_and_holds_what_was_known_then():
    builder = TickBuilder()
    assert builder.quote(1_000 * MS, 10.0, 11.0, 1.0, 2.0) is None
    assert builder.trade(1_050 * MS, 11.0, 0.1) is None
    assert builder.trade(1_099 * MS, 10.0, 0.2) is None
    assert builder.quote(1_100 * MS, 10.5, 11.5, 3.0, 4.0) == TickRow(
        1_100 * MS, 10.0, 11.0, 1.0, 2.0, 10.0, 0.3, 10.0, 11.0
    )
    assert builder.flush(1_199 * MS) is None
    assert builder.flush(1_200 * MS) == TickRow(1_200 * MS, 10.5, 11.5, 3.0, 4.0, 10.0, 0.0, 10.0, 10.0)
    assert builder.flush(1_300 * MS) is None, "nothing happened"


def test_before_any_trade_last_is_the_mid():
    builder = TickBuilder()
    builder.quote(0, 10.0, 11.0)
    row = builder.flush(INTERVAL)
    assert row is not None
    assert (row.last, row.low, row.high, row.volume) == (10.5, 10.5, 10.5, 0.0)


def test_trades_before_the_first_quote_wait_for_it():
    builder = TickBuilder()
    assert builder.trade(0, 9.0, 1.0) is None
    assert builder.trade(150 * MS, 12.0, 2.0) is None
    assert builder.quote(250 * MS, 10.0, 11.0) is None
    assert builder.flush(300 * MS) == TickRow(300 * MS, 10.0, 11.0, 0.0, 0.0, 12.0, 3.0, 9.0, 12.0)


def test_a_late_event_counts_in_the_next_tick_and_time_never_goes_back():
    builder = TickBuilder()
    builder.quote(50 * MS, 10.0, 11.0)
    first = builder.flush(100 * MS)
    assert builder.trade(60 * MS, 10.0, 1.0) is None
    second = builder.flush(1_000 * MS)
    assert first is not None
    assert second is not None
    assert (first.ts, second.ts, second.volume) == (100 * MS, 200 * MS, 1.0)


def test_trades_alone_give_their_price_as_quote():
    builder = TickBuilder(quotes=False)
    builder.trade(0, 10.0, 1.0)
    assert builder.flush(INTERVAL) == TickRow(INTERVAL, 10.0, 10.0, 0.0, 0.0, 10.0, 1.0, 10.0, 10.0)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 ns"):
        TickBuilder(interval=0)


@given(st.lists(st.tuples(st.integers(0, 10_000), PRICE, SIZE), min_size=1, max_size=80), st.integers(1, 4))
@settings(deadline=None)
def test_bars_from_bars_are_bars_from_trades(trades, times):
    trades = table(sorted(trades, key=lambda t: t[0]), "ts price size")
    fine, coarse = bars_from_trades(trades, 100), bars_from_trades(trades, 100 * times)
    joined = bars_from_bars(fine, 100 * times)
    for name in ("ts", "open", "high", "low", "close"):
        assert joined[name].tolist() == coarse[name].tolist()
    assert np.allclose(joined["volume"], coarse["volume"], rtol=0, atol=1e-6)
    assert math.isclose(coarse["volume"].sum(), trades["size"].sum(), abs_tol=1e-6)
    assert (coarse["high"] >= coarse["low"]).all()
