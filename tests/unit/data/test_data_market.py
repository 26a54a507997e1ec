"""The stream that the engine is fed with: order, chunks, digest, read-ahead, sources."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.data.flow import ContentDigest, digested, merge, prefetch, rechunk
from sigma_bot.data.market import open_request
from sigma_bot.data.request import Request, Wanted
from sigma_bot.data.rules import healthy
from sigma_bot.data.synthetic import START, bar_blocks, synthetic_bars, synthetic_ticks, tick_blocks
from sigma_bot.errors import BadInputError

MINUTE = 60_000_000_000
TIMES = st.lists(st.integers(0, 30), max_size=40).map(sorted)


def chunks_of(times, sizes, mark):
    """Chunks of the sizes in turn; ``mark`` and the position make each row unique."""
    at = 0
    for size in sizes * (len(times) + 1):
        if at >= len(times):
            return
        part = times[at : at + size]
        yield {"ts": np.array(part, np.int64), "row": np.arange(at, at + len(part)) + 1000 * mark}
        at += size


@given(st.lists(TIMES, min_size=1, max_size=4), st.lists(st.integers(1, 5), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_merging_is_a_stable_sort_by_time_and_symbol(streams, sizes):
    merged = list(merge([chunks_of(s, sizes, i) for i, s in enumerate(streams)], "ts"))
    found = [
        row for c in merged for row in zip(*(c[n].tolist() for n in ("ts", "symbol", "row")), strict=True)
    ]
    wanted = sorted((t, i, j + 1000 * i) for i, s in enumerate(streams) for j, t in enumerate(s))
    assert found == wanted


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None)
def test_rechunking_keeps_the_rows_and_the_bound(sizes, rows, small):
    edges = np.cumsum([0, *sizes])
    cut = [{"ts": np.arange(a, b)} for a, b in pairwise(edges)]
    out = list(rechunk(iter(cut), rows, small))
    assert [x for c in out for x in c["ts"].tolist()] == list(range(edges[-1]))
    assert all(1 <= len(c["ts"]) <= rows for c in out if small <= rows)


@given(st.lists(st.integers(1, 99), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_digest_does_not_depend_on_the_cut_and_depends_on_every_value(cuts):
    columns = synthetic_ticks(100, 3)
    whole, pieces, other = ContentDigest("h"), ContentDigest("h"), ContentDigest("h")
    whole.update(columns)
    edges = sorted({0, *cuts, 100})
    for a, b in pairwise(edges):
        pieces.update({n: v[a:b] for n, v in columns.items()})
    assert whole.hexdigest() == pieces.hexdigest()
    columns["bid_size"][cuts[0]] += 0.001
    other.update(columns)
    assert other.hexdigest() != whole.hexdigest()


def test_the_digest_of_a_known_market_is_pinned():
    digest = ContentDigest("pin")
    digest.update(synthetic_ticks(1000, 1, 2))
    digest.update({n: v for n, v in synthetic_bars(1000, 1, 2).items() if n not in ("ts", "symbol")})
    assert digest.hexdigest() == PINNED


PINNED = "eb8825df23feb1364fc194c8054775c2aea9cad2ef7935c78ec93c239e0fba0a"


@pytest.mark.parametrize(("make", "blocks"), [(synthetic_ticks, tick_blocks), (synthetic_bars, bar_blocks)])
@pytest.mark.parametrize("symbols", [1, 3])
def test_generated_markets(make, blocks, symbols, monkeypatch):
    whole = make(1000, 5, symbols)
    assert healthy("ticks" if make is synthetic_ticks else "bars", whole)
    assert all(len(v) == 1000 for v in whole.values())
    order = np.lexsort((whole["symbol"], whole["ts"]))
    assert (order == np.arange(1000)).all()
    assert (
        make(1000, 6, symbols)[("bid" if make is synthetic_ticks else "close")]
        != whole["bid" if make is synthetic_ticks else "close"]
    ).any()
    monkeypatch.setattr("sigma_bot.data.synthetic.BLOCK", 64)
    pieces = list(blocks(1000, 5, symbols))
    assert len(pieces) > 10
    for name, values in whole.items():
        assert np.concatenate([p[name] for p in pieces]).tolist() == values.tolist()


def test_a_generated_trade_stays_inside_its_tick():
    ticks = synthetic_ticks(5000, 2)
    traded = ticks["volume"] > 0
    assert 0.2 < traded.mean() < 0.3
    assert (ticks["low"] <= ticks["last"]).all()
    assert (ticks["last"] <= ticks["high"]).all()
    still = np.flatnonzero(~traded)[1:]
    assert (ticks["last"][still] == ticks["last"][still - 1]).all()


def test_a_synthetic_market(read):
    market, rows = read(None, "A", "B", source="synthetic", kind="bars", start=START, end=START + 60 * MINUTE)
    assert market.rows == len(rows["ts"]) == 120
    assert rows["symbol"] == [0, 1] * 60
    assert rows["close"][0] != rows["close"][1]
    assert any("synthetic" in w for w in market.warnings)
    alone = read(None, "B", source="synthetic", kind="bars", start=START, end=START + 60 * MINUTE)[1]
    assert alone["close"] == rows["close"][1::2], "a symbol's market does not depend on the others"


def test_the_sample(read):
    pytest.importorskip("bokeh_sampledata")
    market, rows = read(None, "AAPL", "MSFT", source="sample")
    assert (market.kind, market.timeframe) == ("bar", 1440 * MINUTE)
    assert rows["close"][:2] == [130.31, 90.81]
    with pytest.raises(BadInputError, match="did you mean 'AAPL'"):
        read(None, "AAPLE", source="sample")


def test_chunks_come_once_and_the_digest_after_them():
    market = open_request(Request((Wanted("A"),), source="synthetic"))
    with pytest.raises(RuntimeError, match="complete"):
        market.digest()
    assert sum(len(c["ts"]) for c in market.chunks()) == market.rows
    assert len(market.digest()) == 64
    with pytest.raises(RuntimeError, match="once"):
        market.chunks()


def test_a_symbol_twice_and_no_symbol_at_all():
    with pytest.raises(BadInputError, match="twice"):
        open_request(Request((Wanted("A"), Wanted("A")), source="synthetic"))
    with pytest.raises(BadInputError, match="at least one"):
        open_request(Request((), source="synthetic"))


def test_kinds_must_agree(read, write):
    write(
        "A.csv", "ts,open,high,low,close\n" + "".join(f"{1_700_000_000 + 60 * i},1,1,1,1\n" for i in range(3))
    )
    path = write("B.csv", "ts,price,size\n1700000000,1,1\n1700000001,1,1\n")
    with pytest.raises(BadInputError, match="B has ticks and A has 1m bars"):
        read(path.parent, "A", "B")


def fine():
    return [t for t in threading.enumerate() if t.name.startswith("sigma-")]


def test_closing_early_ends_the_thread():
    closed = []

    def endless():
        try:
            while True:
                yield {"ts": np.zeros(1, np.int64)}
        finally:
            closed.append(True)

    stream = prefetch(digested(endless(), ContentDigest("x"), lambda: None))
    next(stream)
    assert fine()
    stream.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert not fine()


def test_an_error_of_the_reader_reaches_the_consumer():
    def failing():
        yield {"ts": np.zeros(1, np.int64)}
        raise BadInputError("row 2 is wrong")

    stream = prefetch(digested(failing(), ContentDigest("x"), lambda: None))
    next(stream)
    with pytest.raises(BadInputError, match="row 2 is wrong"):
        next(stream)
    assert not fine()


def test_the_reader_stays_one_chunk_ahead():
    made = []

    def counting():
        for i in range(10):
            made.append(i)
            yield {"ts": np.zeros(1, np.int64)}

    stream = prefetch(counting())
    next(stream)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert len(made) == 3, "one is held by the consumer, one waits, one is being handed over"
    stream.close()  # type: ignore[attr-defined]


def test_funding(read, write):
    bars = "ts,open,high,low,close\n" + "".join(f"{1_700_000_000 + 60 * i},1,1,1,1\n" for i in range(3))
    rates = write(
        "f.csv", "fundingTime,fundingRate,symbol\n1700000060000,0.0002,X\n1700000000000,-0.0001,X\n"
    )
    market, _ = read(write("X.csv", bars), funding=str(rates))
    assert market.funding is not None
    assert market.funding["rate"].tolist() == [-0.0001, 0.0002]
    assert market.funding["ts"].tolist() == [1_700_000_000 * 10**9, 1_700_000_060 * 10**9]
    plain, _ = read(write("X.csv", bars))
    assert plain.digest() != market.digest()
    for text, words in (
        ("time,rat\n2024-01-01T00:00:00Z,1\n", "funding_rate"),
        ("time,rate\n2024-01-01T00:00:00Z,12\n", "fraction such as 0.0001"),
        ("time,rate\n1700000000,0.1\n1700000000,0.1\n", "two funding rates"),
    ):
        with pytest.raises(BadInputError, match=words):
            read(write("X.csv", bars), funding=str(write("g.csv", text)))
    with pytest.raises(BadInputError, match="column 'symbol'"):
        read(None, "X", "Y", source="synthetic", funding=str(write("g.csv", "time,rate\n1700000000,0.1\n")))
