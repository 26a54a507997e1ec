"""The feed as a process, and Redis as one: killed, restarted, interrupted."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession
from redis import Redis
from redis.exceptions import ConnectionError

from sigma_bot.bus import Bus, open_bus
from sigma_bot.feed.connection_manager import ReconnectPolicy
from sigma_bot.feed.feed import Feed
from sigma_bot.feed.recording import recorded
from sigma_bot.model.messages import TickBatch, decode_batch, ticks_log
from sigma_bot.retry import Backoff
from tests.integration.feed.feed_venue import FakeVenue, book, trade
from tests.support import servers

LOG = ticks_log("upbit")
COMMAND = [sys.executable, "-c", "from sigma_bot.cli.main import run; from sigma_bot.cli.feed import feed; "
           "import sys; sys.exit(run(sys.argv[1:], feed, 'sigma feed'))"]  # fmt: skip


def feed_command(url: str, out: Path) -> list[str]:
    where = ["--redis", url, "--out", str(out)]
    return [*COMMAND, "--venue", "upbit", "--symbols", "KRW-BTC", *where]


async def everything(bus: Bus) -> list[TickBatch]:
    found: list[TickBatch] = []
    while page := await bus.read(LOG, found[-1].seq if found else -1):
        found += [decode_batch(payload) for _, payload in page]
    assert [b.seq for b in found] == list(range(found[0].seq, found[0].seq + len(found)))
    return found


def assert_recorded(out: Path, batches: list[TickBatch], symbol: str) -> None:
    """The recording holds exactly what was published, in order."""
    found = recorded(out, "upbit", [symbol], batches[0].seq, batches[-1].seq)
    assert found.missing == ()
    table = found.tables[symbol]
    published = [
        (b.seq, b.ts, t.bid, t.volume, t.received_ts) for b in batches for t in b.ticks if t.symbol == symbol
    ]
    columns = [table["seq"], table["ts"].cast("int64"), table["bid"], table["volume"], table["received_ts"]]
    assert list(zip(*(c.to_pylist() for c in columns), strict=True)) == published
    assert len(published) > 5


@contextmanager
def process_of(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def busy(fake: FakeVenue) -> AsyncIterator[None]:
    """A market that never rests."""

    async def talk() -> None:
        number = 0
        while True:
            number += 1
            await fake.send(book("KRW-BTC", 100 + number, 101 + number))
            await fake.send(trade("KRW-BTC", 100 + number, 0.125, number))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until_seq(bus: Bus, seq: int) -> None:
    async with asyncio.timeout(60):
        while ((await bus.last(LOG)) or (0, b""))[0] < seq:
            await asyncio.sleep(0.02)


async def until_count(bus: Bus, count: int) -> None:
    """Until so many batches are in the log, from its first one on."""
    async with asyncio.timeout(60):
        while len(await bus.read(LOG, -1, count)) < count:
            await asyncio.sleep(0.02)


async def until_ticks(bus: Bus, after: int, count: int) -> None:
    async with asyncio.timeout(60):
        while sum(len(decode_batch(p).ticks) for _, p in await bus.read(LOG, after)) < count:
            await asyncio.sleep(0.02)


async def test_a_killed_feed_loses_nothing_that_was_published(
    fake: FakeVenue, redis_url: str, tmp_path: Path
) -> None:
    """Three lives; after each, the next goes on with the next number, and log and recording are one."""
    with Redis.from_url(redis_url) as admin:
        admin.delete(LOG)
    bus = open_bus(redis_url)
    command = feed_command(redis_url, tmp_path)
    seq = 0
    async with busy(fake):
        for life in range(3):
            with process_of(command):
                await until_ticks(bus, seq, 7 + 4 * life)
            newest = await bus.last(LOG)
            assert newest is not None
            seq = newest[0]
            assert_recorded(tmp_path, await everything(bus), "KRW-BTC")
    batches = await everything(bus)
    gaps = [b.seq for b in batches if b.gaps]
    assert len(gaps) == 2  # the first tick of the second and the third life
    await bus.close()


async def test_ctrl_c_flushes_everything(fake: FakeVenue, redis_url: str, tmp_path: Path) -> None:
    with Redis.from_url(redis_url) as admin:
        admin.delete(LOG)
    bus = open_bus(redis_url)
    async with busy(fake):
        with process_of(feed_command(redis_url, tmp_path)) as process:
            await until_ticks(bus, 0, 6)
            process.send_signal(signal.SIGINT)
            said, complained = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert "feed of upbit: KRW-BTC; bus redis://127.0.0.1" in said
    batches = await everything(bus)
    assert f"stopped at batch {batches[-1].seq}; everything is flushed" in said
    assert "Traceback" not in complained
    days = [p.name for p in (tmp_path / "upbit" / "KRW-BTC").iterdir()]
    assert all(name.count(".") == 1 for name in days)  # DATE.parquet, no parts left
    assert_recorded(tmp_path, batches, "KRW-BTC")
    await bus.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--venue", "upbit"], "nobody would get the ticks"),
        (["--venue", "upbot", "--symbols", "KRW-BTC", "--out", "x"], "did you mean 'upbit'"),
        (["--venue", "upbit", "--out", "x"], "name --symbols"),
        (["--venue", "upbit", "--symbols", "KRW-BTC", "--redis", "redys://x"], "did you mean 'redis'"),
        (
            ["--venue", "upbit", "--symbols", "KRW-BTC", "--redis", "redis://:pw@127.0.0.1:1/0"],
            "cannot be reached",
        ),
    ],
)
async def test_bad_input_is_one_line(
    fake: FakeVenue, tmp_path: Path, arguments: list[str], words: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    _, complained = await process.communicate()
    assert process.returncode in (1, 2)
    last = complained.decode().strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert "pw@" not in complained.decode()


class Server:
    """A Redis that can die and come back on its port with what it saved."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, servers._free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip(servers.INSTALL)
        self._process = subprocess.Popen(
            [
                program,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self._folder),
                "--save",
                "",
            ],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def answers(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    with Redis.from_url(self.url) as admin:
                        admin.ping()
                    return
                except ConnectionError:
                    await asyncio.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "redis"
    folder.mkdir()
    made = Server(folder)
    made.start()
    yield made
    made.kill()


@pytest.mark.parametrize("saved", [False, True])
async def test_what_redis_loses_the_feed_gives_back(
    fake: FakeVenue, server: Server, tmp_path: Path, saved: bool
) -> None:
    """It dies without a word, and comes back empty or with an older state."""
    await server.answers()
    bus = open_bus(server.url)
    feed = Feed("upbit", bus, ["KRW-BTC"], tmp_path / "out", ReconnectPolicy(backoff=Backoff(0.01)))
    task = asyncio.create_task(feed.run())
    async with busy(fake):
        await until_count(bus, 8)
        if saved:
            with Redis.from_url(server.url) as admin:
                admin.save()
        await until_count(bus, 14)
        server.kill()
        async with asyncio.timeout(20):
            while feed.counters.waiting < 5:
                await asyncio.sleep(0.02)
        server.start()
        await server.answers()
        await until_seq(bus, feed.counters.last_seq + 3)
    task.cancel()
    await asyncio.wait({task})
    batches = await everything(bus)
    assert batches[-1].seq == feed.counters.last_seq
    assert all(not b.gaps for b in batches)
    assert feed.counters.bus_errors > 0
    assert feed.counters.republished > 0
    assert feed.counters.lost_batches == 0
    assert_recorded(tmp_path / "out", batches, "KRW-BTC")
    await bus.close()


async def test_a_bus_that_stays_away_costs_ticks_but_no_numbers(
    fake: FakeVenue, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than may wait: the ticks are given up behind a gap, the numbers stay without a hole."""
    from sigma_bot.feed import publisher

    monkeypatch.setattr(publisher, "WAITING", 5)
    await server.answers()
    bus = open_bus(server.url)
    feed = Feed("upbit", bus, ["KRW-BTC"], policy=ReconnectPolicy(backoff=Backoff(0.01)))
    task = asyncio.create_task(feed.run())
    async with busy(fake):
        await until_count(bus, 3)
        server.kill()
        async with asyncio.timeout(20):
            while feed.counters.lost_batches < 3:
                await asyncio.sleep(0.02)
        server.start()
        await server.answers()
        await until_seq(bus, feed.counters.last_seq + 3)
    task.cancel()
    await asyncio.wait({task})
    batches = await everything(bus)
    assert [b.gaps for b in batches if b.gaps] == [("KRW-BTC",)]
    assert max(b.ts - a.ts for a, b in itertools.pairwise(batches)) > 100_000_000
    await bus.close()


async def test_what_was_recorded_and_not_published_is_published_later(
    fake: FakeVenue, server: Server, tmp_path: Path
) -> None:
    """Redis is away when the feed is killed; the next life gives the log what only the recording has."""
    await server.answers()
    bus = open_bus(server.url)
    command = feed_command(server.url, tmp_path / "out")

    def newest_recorded() -> int:
        found = recorded(tmp_path / "out", "upbit", ["KRW-BTC"], 1, 2**40)
        return found.missing[-1][0] - 1 if found.missing else 0

    async with busy(fake):
        with process_of(command):
            await until_count(bus, 8)
            with Redis.from_url(server.url) as admin:
                admin.save()
            server.kill()
            before = newest_recorded()
            async with asyncio.timeout(20):
                while newest_recorded() < before + 5:
                    await asyncio.sleep(0.05)
        kept = newest_recorded()
        server.start()
        await server.answers()
        with process_of(command) as process:
            await until_seq(bus, kept + 5)
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.communicate)
    assert_recorded(tmp_path / "out", await everything(bus), "KRW-BTC")
    await bus.close()


async def test_the_process_says_how_it_is(fake: FakeVenue, tmp_path: Path) -> None:
    port = servers._free_port()
    command = [*COMMAND, "--venue", "upbit", "--symbols", "KRW-BTC", "--out", str(tmp_path)]
    environment = {**os.environ, "SIGMA_HEALTH_PORT": f"127.0.0.1:{port}"}

    async def page(name: str) -> tuple[int, str]:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{name}") as answer:
            return answer.status, await answer.text()

    async with busy(fake):
        with process_of(command, environment):
            async with asyncio.timeout(30):
                while True:
                    try:
                        if (await page("readyz"))[0] == 200 and "sigma_feed_ticks_total 0" not in (
                            await page("metrics")
                        )[1]:
                            break
                    except ClientConnectionError:  # it does not listen yet
                        pass
                    await asyncio.sleep(0.05)
            assert (await page("healthz"))[0] == 200
            metrics = (await page("metrics"))[1]
            assert 'sigma_feed_messages_total{kind="book"}' in metrics
            assert 'sigma_feed_staleness_seconds{symbol="KRW-BTC"}' in metrics
            assert '"last_seq"' in (await page("status"))[1]
            fake.refuse = True
            await fake.cut()
            async with asyncio.timeout(30):
                while (await page("readyz"))[0] != 503:
                    await asyncio.sleep(0.02)
            assert "NotConnected" in (await page("readyz"))[1]
