"""Bots that warm up from the feed's recording, and that were away for longer than the log reaches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from sigma_bot.bus import Bus, open_bus
from sigma_bot.engine.types import R_WARMUP
from sigma_bot.errors import BadInputError
from sigma_bot.feed.compaction import SPOOL, Columns, _write_covered, _write_parts
from sigma_bot.feed.feed import Feed
from sigma_bot.feed.history_server import HistoryServer
from sigma_bot.feed.recorder import Recorder
from sigma_bot.journal import Filter, open_journal
from sigma_bot.journal.journal import Journal
from sigma_bot.model.messages import (
    HistoryRequest,
    TickBatch,
    TickMessage,
    decode_batch,
    history_answers,
    history_channel,
    ticks_log,
)
from sigma_bot.model.orders import NoticeRow
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.parity.run import Verdict, check, read_run
from sigma_bot.spec import Strategy, parse_manifest
from sigma_bot.times import clock
from sigma_bot.trading import history
from sigma_bot.trading.history import HistoryClient
from sigma_bot.trading.runner import BotRunner
from sigma_bot.trading.session import Session
from sigma_bot.trading.settings import Settings
from tests.integration.feed.feed_venue import FakeVenue, book
from tests.support import bots, servers

LOG = ticks_log("upbit")
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
CODE = """
from sigma_bot import Sma, Strategy, param

class Slow(Strategy):
    '''Trades only once an average of the last hour is settled.'''
    rows: int = param(3600, ge=1)
    mean: Sma[4096]

    def on_start(self):
        self.mean.setup(self.rows)

    def on_tick(self, tick, broker):
        self.mean.update(tick.mid)
        if not self.mean.ready:
            return
        if broker.position == 0:
            broker.buy(0.01)
        else:
            broker.close()
"""


def told(warmup: str = "2h", rows: int = 3600) -> dict[str, Any]:
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": "slow"},
        "spec": {
            "strategy": {"code": CODE, "params": {"rows": rows}},
            "markets": [{"symbol": "KRW-BTC", "rules": "upbit"}],
            "account": {"venue": "upbit", "name": "main", "currency": "KRW", "cash": "100000000"},
            "warmup": warmup,
        },
    }


def manifest(warmup: str = "2h", rows: int = 3600) -> Strategy:
    parsed = parse_manifest(told(warmup, rows))
    assert isinstance(parsed, Strategy)
    return parsed


def message(seq: int, ts: int) -> TickMessage:
    price = 60_000_000.0 + 1000 * round(500 * math.sin(seq / 900))
    return TickMessage(
        "KRW-BTC", price - 1000, price + 1000, 0.5, 0.5, price, 0.3, price, price, ts - 9, ts - 5
    )


def record(out: Path, length: int, first: int = 1, end: int | None = None) -> int:
    """A recording of ``length`` ns up to just now, a tick a second; its last minute is in the spool. The
    number of its last batch."""
    root = out / "upbit"
    (root / SPOOL).mkdir(parents=True)
    end = (end or time.time_ns()) // INTERVAL * INTERVAL
    count = length // INTERVAL
    columns, spooled = Columns(), first + count - 600
    for seq in range(first, spooled):
        if seq % 10 == 0:
            ts = end - (first + count - seq) * INTERVAL
            columns.add(seq, ts, False, message(seq, ts))
    _write_parts(root / "KRW-BTC", "upbit", columns, first)
    _write_covered(root, [(first, spooled - 1)])
    keeper = Recorder(out, "upbit")
    for seq in range(spooled, first + count):
        ts = end - (first + count - seq) * INTERVAL
        ticks = (message(seq, ts),) if seq % 10 == 0 else ()
        keeper._append(seq, ts, TickBatch("upbit", seq, ts, (), ticks).encode())
    keeper.close()
    return first + count - 1


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def feeding(fake: FakeVenue, bus: Bus, out: Path | None) -> AsyncIterator[Feed]:
    """A feed of a market that never rests."""

    async def talk() -> None:
        number = 0
        while True:
            number += 1
            await fake.send(book("KRW-BTC", 60_000_000 + 1000 * (number % 5), 60_010_000))
            await asyncio.sleep(0.05)

    feed = Feed("upbit", bus, ["KRW-BTC"], out)
    tasks = [asyncio.create_task(feed.run()), asyncio.create_task(talk())]
    try:
        await until(lambda: feed.ready.is_set() or tasks[0].done())
        yield feed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(params=["redis", "memory"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """Empty. The embedded default has feed and bot in one process, as this test does."""
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("redis_url")
    with Redis.from_url(url) as admin:
        admin.delete(LOG)
    return url


async def verdict(journal: Journal, out: Path) -> Verdict:
    return await asyncio.to_thread(check, await read_run(journal, "slow", None), out, None)


def bot_of(journal: Journal, bus: Bus, wanted: Strategy) -> BotRunner:
    return bots.bot(Settings(wanted, Path()), journal, bus)


async def until_filled(runner: BotRunner, more: int = 0) -> Session:
    """A bot that has traded, more than ``more`` times: those are stored when the next one happens."""
    await until(lambda: runner.session is not None and runner.session.bot.decisions.broker.n_fills > more + 1)
    assert runner.session is not None
    return runner.session


async def test_a_fresh_bot_trades_at_once(fake: FakeVenue, bus_url: str, tmp_path: Path) -> None:
    """Two hours of warm-up are there, of which the log has a minute."""
    out = tmp_path / "ticks"
    last = record(out, 3 * HOUR)
    bus = open_bus(bus_url)
    began = time.time_ns()
    async with (
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
        feeding(fake, bus, out),
    ):
        async with bots.running(bot_of(journal, bus, manifest())) as runner:
            session = await until_filled(runner)
            assert session.reader.lost_batches == 0
            await until(lambda: runner.ready().reason == "Trading")
        run = await journal.run_of("slow")
        assert run.first_ts is not None
        assert abs(began - 2 * HOUR - run.first_ts) < 60 * SECOND
        assert run.first_tick is not None
        assert run.first_tick < last - 70_000
        assert {e.row.code for e in await journal.notices(Filter("slow"))} <= {"warm-up"}
        said = await verdict(journal, out)
    assert said.difference is None
    assert said.missing == ()
    assert said.backtest.rows > 7000
    assert len(said.sim.trace.fills) > 0
    await bus.close()


async def test_one_that_is_killed_meanwhile_begins_with_the_same_tick(
    fake: FakeVenue, redis_url: str, tmp_path: Path
) -> None:
    """By then the log has only what came since."""
    with Redis.from_url(redis_url) as admin:
        admin.delete(LOG)
    out, url = tmp_path / "ticks", servers.migrated_sqlite(tmp_path / "j.db")
    record(out, 3 * HOUR)
    bus = open_bus(redis_url)
    written = tmp_path / "slow.yaml"
    written.write_text(json.dumps(told()))
    command = [sys.executable, "-c", "from sigma_bot.cli.main import main; main()", "run", str(written)]
    async with feeding(fake, bus, out), await open_journal(url) as journal:
        process = await asyncio.create_subprocess_exec(*command, "--db", url, "--redis", redis_url)
        first = None
        while first is None:
            await asyncio.sleep(0.01)
            assert process.returncode is None
            with contextlib.suppress(BadInputError):  # it is not in the journal yet
                first = (await journal.run_of("slow")).first_tick
        process.kill()
        await process.wait()
        async with bots.running(bot_of(journal, bus, manifest())) as runner:
            session = await until_filled(runner)
            assert session.reader.lost_batches == 0
        run = await journal.run_of("slow")
        assert (run.number, run.first_tick) == (1, first)
        said = await verdict(journal, out)
    assert said.difference is None
    assert len(said.sim.trace.fills) > 0
    await bus.close()


async def test_a_bot_that_was_away_longer_than_the_log_reaches_has_no_hole(
    fake: FakeVenue, redis_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "ticks"
    with Redis.from_url(redis_url) as admin:
        admin.delete(LOG)
        record(out, HOUR // 10)
        bus, wanted = open_bus(redis_url), manifest("1m", 20)
        async with (
            await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
            feeding(fake, bus, out) as feed,
        ):
            async with bots.running(bot_of(journal, bus, wanted)) as runner:
                session = await until_filled(runner, 3)
            left = session.bot.last
            await until(lambda: feed.counters.last_seq > left + 20)
            admin.delete(LOG)  # and the feed goes on with the next number
            after = feed.counters.last_seq
            await until(lambda: feed.counters.last_seq > after + 5)
            oldest = (await bus.read(LOG, -1, 1))[0][0]
            assert oldest > left + 20
            async with bots.running(bot_of(journal, bus, wanted)) as runner:
                session = await until_filled(runner, session.bot.decisions.broker.n_fills + 3)
                await until(lambda: session.bot.last > oldest)
                assert session.reader.lost_batches == 0
            said = await verdict(journal, out)
    assert [row.kind for row in said.sim.inputs if row.kind == "gap"] == []
    assert said.missing == ()
    assert said.difference is None
    await bus.close()


async def told_short(journal: Journal, times: int) -> list[NoticeRow]:
    """What was said of a short warm-up, once it was said so often."""
    async with asyncio.timeout(60):
        while True:
            rows = [entry.row for entry in await journal.notices(Filter("slow", limit=1000))]
            if len(found := [row for row in rows if row.code == "warm-up-short"]) >= times:
                return found
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("length", "why"),
    [(HOUR // 4, ""), (0, ": the feed keeps no recording (--out)")],
    ids=["short", "none"],
)
async def test_too_little_is_said_once_at_each_start(
    fake: FakeVenue, length: int, why: str, tmp_path: Path
) -> None:
    """Never wrong, only slow: nothing is traded before the warm-up is over by the clock."""
    out = tmp_path / "ticks" if length else None
    if out is not None:
        record(out, length)
    bus = open_bus("memory://")
    if out is None:  # a feed went before
        await bus.append(LOG, 500, TickBatch("upbit", 500, time.time_ns(), (), ()).encode())
    async with (
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
        feeding(fake, bus, out),
    ):
        for start in range(2):
            async with bots.running(bot_of(journal, bus, manifest("2h", 20))) as runner:
                await until(lambda: runner.ready().reason == "WarmingUp")
                assert runner.ready().ready
                assert runner.session is not None
                settled = runner.session.warmup_ends
                assert runner.ready().message == f"no order before {clock(settled)} UTC"
                await until(lambda: runner.session.bot.decisions.broker.rejected[R_WARMUP])
                await told_short(journal, start + 1)
        assert abs(settled - time.time_ns() - 2 * HOUR + length) < 60 * SECOND
        begun = clock(settled - 2 * HOUR)
        short = f"warm-up: no order before {clock(settled)} UTC; its ticks begin at {begun} UTC"
        assert {one.text for one in await told_short(journal, 2)} == {short, short + why}
        assert not (await journal.fills(Filter("slow"))).rows
        # of the orders that were refused meanwhile, the first of each start
        refused = [
            entry
            for entry in await journal.notices(Filter("slow", limit=1000))
            if entry.row.code == "warm-up"
        ]
        assert 1 <= len(refused) <= 2
    await bus.close()


async def test_a_feed_that_is_away_is_waited_for(
    fake: FakeVenue, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reboot: the log is there, and the bot is up before its feed."""
    monkeypatch.setattr(history, "REPEAT_S", 0.1)
    monkeypatch.setattr(history, "NO_FEED_S", 0.2)
    out = tmp_path / "ticks"
    last = record(out, 3 * HOUR)
    with Redis.from_url(redis_url) as admin:
        admin.delete(LOG)
    bus = open_bus(redis_url)
    for seq in range(last - 5, last + 1):
        await bus.append(LOG, seq, TickBatch("upbit", seq, time.time_ns(), (), ()).encode())
    async with (
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
        bots.running(bot_of(journal, bus, manifest())) as runner,
    ):
        await until(lambda: runner.session is not None and runner.session.history.reason == "no feed runs")
        assert (await journal.run_of("slow")).first_tick is None
        monkeypatch.setattr(history, "REPEAT_S", 2.0)
        async with feeding(fake, bus, out):
            await until_filled(runner)
            first = (await journal.run_of("slow")).first_tick
            assert first is not None
            assert first < last - 70_000
    await bus.close()


async def test_a_feed_that_knows_nothing_of_this_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an older version: its ticks go on, and nobody answers."""
    monkeypatch.setattr(history, "REPEAT_S", 0.1)
    monkeypatch.setattr(history, "NO_HISTORY_S", 0.3)
    bus = open_bus("memory://")

    async def publish() -> None:
        for seq in range(500, 10_000):
            ts = time.time_ns()
            await bus.append(LOG, seq, TickBatch("upbit", seq, ts, (), (message(seq, ts),)).encode())
            await asyncio.sleep(0.02)

    task = asyncio.create_task(publish())
    async with (
        await open_journal(servers.migrated_sqlite(tmp_path / "j.db")) as journal,
        bots.running(bot_of(journal, bus, manifest())) as runner,
    ):
        await until(lambda: runner.ready().reason == "WarmingUp")
        assert runner.session is not None
        assert runner.session.history.reason == "the feed does not answer"
    task.cancel()
    await bus.close()


async def test_a_reader_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    """And what is no request, or asks for a folder, is passed over."""
    last = record(tmp_path, HOUR // 10)
    bus = open_bus("memory://")
    historian = HistoryServer(bus, "upbit", tmp_path)
    task = asyncio.create_task(historian.run())
    reader = HistoryClient(bus, "upbit", "b", ["KRW-BTC"])
    found: list[int] = []
    for since in (1, 2):
        await bus.publish(history_channel("upbit"), b"no request")
        await bus.publish(history_channel("upbit"), HistoryRequest("c", ("../..",), -1, 1, 9).encode())
        await bus.publish(history_answers("upbit", "b"), b"no page")
        async for page in reader.pages(-1, since, last):
            found += [decode_batch(payload).seq for payload in page.batches]
        assert historian._reader is not None
        historian._reader.kill()
        await historian._reader.wait()
    assert found == [*range(10, last, 10)] * 2
    assert reader.reason == ""
    task.cancel()
    await asyncio.wait([task])
    assert historian._reader is None
    await bus.close()
