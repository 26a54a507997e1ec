"""Pages of a recording: what was published, of the symbols asked for, in whatever form it is by then."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.feed import compaction, history_reader, recorder
from sigma_bot.feed.history_reader import page
from sigma_bot.feed.recorder import PART_NS, Recorder
from sigma_bot.feed.recording import unmoved
from sigma_bot.model.messages import (
    HistoryPage,
    HistoryRequest,
    TickBatch,
    TickMessage,
    decode_batch,
    decode_history_page,
    decode_history_request,
)
from sigma_bot.model.ticks import INTERVAL

DAY = 86_400 * 10**9
MIDNIGHT = 1_700_000_000 * 10**9 // DAY * DAY


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet is written in this process."""
    monkeypatch.setattr(recorder, "compact_in_process", compaction.compact)


def batch(seq: int, symbols: Sequence[str], gaps: tuple[str, ...] = (), start: int = MIDNIGHT) -> TickBatch:
    x = seq / 7
    ts = start + seq * INTERVAL
    ticks = tuple(
        TickMessage(s, x, x + 0.1, 0.1, 0.3, x + 0.05, seq % 3 / 10, x, x + 0.1, ts - 9, ts - 5)
        for s in symbols
    )
    return TickBatch("upbit", seq, ts, gaps, ticks)


def of(batches: Sequence[TickBatch], symbols: Sequence[str]) -> list[TickBatch]:
    """What a bot of these symbols needs of them."""
    found = []
    for one in batches:
        ticks = tuple(tick for tick in one.ticks if tick.symbol in symbols)
        if ticks:
            found.append(replace(one, ticks=ticks, gaps=tuple(s for s in one.gaps if s in symbols)))
    return found


def all_pages(
    out: Path, symbols: Sequence[str], after: int, since: int, until: int
) -> tuple[list[TickBatch], list[tuple[int, int]], list[HistoryPage]]:
    """As a bot asks: each request goes on where the page before ended."""
    batches: list[TickBatch] = []
    missing: list[tuple[int, int]] = []
    pages: list[HistoryPage] = []
    while after + 1 < until:
        request = decode_history_request(HistoryRequest("b", tuple(symbols), after, since, until).encode())
        got = decode_history_page(page(out, "upbit", request).encode())
        assert (got.after, got.until, got.why) == (after, until, "")
        assert after < got.upto < until
        pages.append(got)
        batches += [decode_batch(payload) for payload in got.batches]
        missing += got.missing
        after, since = got.upto, 0
    return batches, missing, pages


async def test_every_form_of_the_recording_gives_back_what_was_published(tmp_path: Path) -> None:
    """A finished day, another day's parts, and the spool; symbols that come and go; marks of holes."""
    kinds = [("A", "B"), ("A",), (), ("B",), ("A", "B", "C")]
    keeper = Recorder(tmp_path, "upbit")
    start = MIDNIGHT - 300 * INTERVAL
    batches = [batch(n, kinds[n % 5], ("A", "B") if n % 50 == 4 else (), start) for n in range(1, 901)]
    for one in batches[:600]:
        keeper.write(one.seq, one.ts, one.encode())
    await keeper.roll(MIDNIGHT + PART_NS + INTERVAL)
    files = sorted(path.name for path in (tmp_path / "upbit" / "A").iterdir())
    assert [name.count(".") for name in files] == [1, 2], "a day's file and a part"
    for one in batches[600:]:
        keeper.write(one.seq, one.ts, one.encode())
    for symbols in (("A",), ("A", "B"), ("C",), ("B", "Z")):
        for since, first in ((1, 1), (start + 250 * INTERVAL, 250), (start + 700 * INTERVAL, 700)):
            got, missing, _ = all_pages(tmp_path, symbols, -1, since, 850)
            assert got == of([one for one in batches[:849] if one.seq >= first], symbols)
            assert missing == []
    assert all_pages(tmp_path, ("A",), 420, 0, 850)[0] == of(batches[420:849], ("A",))
    keeper.close()


async def test_pages_are_small_and_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reader, "ROWS", 200)
    keeper = Recorder(tmp_path, "upbit")
    batches = [batch(n, ("A", "B")) for n in range(1, 1001)]
    for one in batches:
        keeper.write(one.seq, one.ts, one.encode())
    await keeper.roll(MIDNIGHT, finish=True)
    keeper.close()
    got, missing, pages = all_pages(tmp_path, ("A", "B"), -1, 1, 1001)
    assert got == batches
    assert missing == []
    assert [len(one.batches) for one in pages] == [100] * 10


async def test_a_page_ends_when_reading_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reader, "ROWS", 200)
    keeper = Recorder(tmp_path, "upbit")
    for n in range(1, 1001):
        one = batch(n, ("A",) if n == 1000 else ())
        keeper.write(n, one.ts, one.encode())
    clock: Callable[[], float] = iter(range(100)).__next__
    got = page(tmp_path, "upbit", HistoryRequest("b", ("A",), 0, 0, 1001), clock)
    keeper.close()
    assert (got.upto, got.batches) == (200, ())


async def test_what_is_not_recorded_is_said(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    batches = [batch(n, ("A",)) for n in range(1, 301)]
    for one in batches[50:100]:
        keeper.write(one.seq, one.ts, one.encode())
    await keeper.roll(MIDNIGHT, finish=True)
    keeper.close()
    keeper = Recorder(tmp_path, "upbit")
    for one in batches[120:200]:
        keeper._append(one.seq, one.ts, one.encode())  # as after a feed without a recording
    keeper.close()
    got, missing, _ = all_pages(tmp_path, ("A",), 10, 0, 251)
    assert [one.seq for one in got] == [*range(51, 101), *range(121, 201)]
    assert missing == [(11, 50), (101, 120), (201, 250)]
    got, missing, _ = all_pages(tmp_path, ("A",), -1, 1, 251)
    assert missing == [(101, 120), (201, 250)], "a fresh run begins with the first"
    got, missing, _ = all_pages(tmp_path, ("A",), 10, batches[70].ts, 80)
    assert [one.seq for one in got] == list(range(71, 80))
    assert missing == [(11, 70)], "too old to be given is as lost"
    got, missing, _ = all_pages(tmp_path, ("A",), 10, 1, 80)
    assert missing == [(11, 50)]


async def test_nothing_of_these_symbols(tmp_path: Path) -> None:
    keeper = Recorder(tmp_path, "upbit")
    for n in range(1, 101):
        one = batch(n, ("A",))
        keeper.write(n, one.ts, one.encode())
    keeper.close()
    assert all_pages(tmp_path, ("Z",), -1, 1, 90) == ([], [], [HistoryPage(-1, 90, 89)])
    after_all = MIDNIGHT + DAY
    assert all_pages(tmp_path, ("Z",), 5, 1, 90) == ([], [], [HistoryPage(5, 90, 89)])
    assert all_pages(tmp_path, ("A",), -1, after_all, 90) == ([], [], [HistoryPage(-1, 90, 89)])
    assert all_pages(tmp_path, ("A",), 5, after_all, 90) == (
        [],
        [(6, 89)],
        [HistoryPage(5, 90, 89, ((6, 89),))],
    )
    with pytest.raises(BadInputError, match="no recording"):
        page(tmp_path / "elsewhere", "upbit", HistoryRequest("b", ("A",), 5, 0, 90))


def test_a_file_that_moves_is_looked_for_again(tmp_path: Path) -> None:
    tries = iter([FileNotFoundError, FileNotFoundError, None])

    def read() -> str:
        if (error := next(tries)) is not None:
            raise error
        return "read"

    assert unmoved(read) == "read"
    with pytest.raises(FileNotFoundError):
        unmoved(lambda: os.stat(tmp_path / "gone").st_size)


@pytest.mark.parametrize(
    "payload", [b"", b"\x93\x01\x02\x03", HistoryPage(1, 2, 3).encode(), b"\x96\x02\xa1b\x90\x01\x01\x01"]
)
def test_a_request_of_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a history request"):
        decode_history_request(payload)


@pytest.mark.parametrize("payload", [b"", b"\x93\x01\x02\x03", HistoryRequest("b", (), 1, 2, 3).encode()])
def test_a_page_of_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a history page"):
        decode_history_page(payload)
