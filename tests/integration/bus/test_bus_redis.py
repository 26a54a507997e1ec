"""What only a server can do: die, return, refuse; and the in-process bus's files, which outlive SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sigma_bot.bus import BusError, GapError, open_bus
from sigma_bot.errors import BadInputError
from tests.support import servers


async def test_a_listener_hears_of_a_dead_server_and_reads_on_when_it_is_back(tmp_path: Path) -> None:
    with servers.redis() as url:
        bus = open_bus(url)
        await bus.append("log", 1, b"a")
        async with bus.subscribe("log") as heard:
            await bus.append("log", 2, b"b")
            assert await anext(heard) == ("log", b"b")
            async with Redis.from_url(url) as admin:
                await admin.client_kill_filter(_type="pubsub")
            with pytest.raises(BusError, match=r"redis://127\.0\.0\.1:\d+/0: Redis cannot be reached"):
                await anext(heard)
        await bus.append("log", 3, b"c")
        assert await bus.read("log", 2) == [(3, b"c")]
    with pytest.raises(BusError, match="cannot be reached"):
        await bus.append("log", 4, b"d")
    with pytest.raises(BusError, match="cannot be reached"):
        async with bus.subscribe("log"):
            pass
    await bus.close()


async def test_a_lost_answer_is_repeated_without_doubling(redis_url: str) -> None:
    """The server cuts the line before each command: what was refused for want of a line goes through on
    the next try."""
    bus = open_bus(redis_url)
    async with Redis.from_url(redis_url) as admin:
        for seq in range(1, 6):
            await bus.append("twice", seq, b"x")
            await admin.client_kill_filter(_type="normal", skipme=True)
            for _ in range(2):
                try:
                    await bus.append("twice", seq, b"x")
                except BusError:
                    continue
    assert [seq for seq, _ in await bus.read("twice", -1)] == [1, 2, 3, 4, 5]
    await bus.close()


async def test_the_password_is_never_shown() -> None:
    bus = open_bus("redis://user:s3cret@127.0.0.1:1/0")
    with pytest.raises(BusError) as refused:
        await bus.last("log")
    assert "redis://user:***@127.0.0.1:1/0" in str(refused.value)
    assert "s3cret" not in repr(refused.value) + repr(refused.value.__cause__)


async def test_a_wrong_password_is_said(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as admin:
        await admin.acl_setuser("guest", enabled=True, passwords=["+right"], commands=["+@all"], keys=["*"])
    bus = open_bus(redis_url.replace("redis://", "redis://guest:wrong@"))
    with pytest.raises(BusError, match="the password or the user name is wrong"):
        await bus.publish("a", b"x")
    await bus.close()


async def test_a_server_out_of_memory_is_said() -> None:
    with servers.redis() as url:
        async with Redis.from_url(url) as admin:
            await admin.config_set("maxmemory", "100kb")
        bus = open_bus(url)
        with pytest.raises(BusError, match="out of memory"):
            await bus.append("log", 1, b"x")
        await bus.close()


async def test_the_log_stays_bounded(redis_url: str) -> None:
    bus = open_bus(redis_url, kept=500)
    for seq in range(1, 1501):
        await bus.append("bounded", seq, b"x")
    kept = await bus.read("bounded", -1, limit=5000)
    assert 500 <= len(kept) < 900
    assert kept[-1][0] == 1500
    await bus.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss:/x", "scheme"),
        ("redys://h", "did you mean 'redis'"),
        ("postgresql://h", "not known"),
        ("redis://h:port/0", "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_meant(url: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        open_bus(url)


WRITER = """
import asyncio, sys
from pathlib import Path
from sigma_bot.bus import open_bus
async def main():
    bus = open_bus("memory://", Path(sys.argv[1]))
    newest = await bus.last("log")
    seq = newest[0] if newest else 0
    while True:
        seq += 1
        await bus.append("log", seq, b"%d" % seq * 50)
        print(seq, flush=True)
asyncio.run(main())
"""


async def test_what_was_appended_survives_sigkill(tmp_path: Path) -> None:
    """Three lives of a writer, each killed at an instant of its own; every printed number must be there."""
    told = 0
    for life in (37, 211, 5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        lines = [int(writer.stdout.readline()) for _ in range(life)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        assert lines[0] >= told + 1
        told = lines[-1]
    bus = open_bus("memory://", tmp_path)
    entries: list[tuple[int, bytes]] = []
    while page := await bus.read("log", entries[-1][0] if entries else -1):
        entries += page
    assert len(entries) >= told
    assert entries == [(seq, b"%d" % seq * 50) for seq in range(1, len(entries) + 1)]
    with pytest.raises(GapError):
        await bus.append("log", len(entries) + 2, b"")
    await bus.close()


async def test_one_writer_at_a_time(tmp_path: Path) -> None:
    first, second = open_bus("memory://", tmp_path), open_bus("memory://", tmp_path)
    await first.append("log", 1, b"a")
    with pytest.raises(BusError, match="another process writes this log"):
        await second.append("log", 2, b"b")
    await first.close()
    await second.append("log", 2, b"b")
    assert await second.last("log") == (2, b"b")
    await second.close()


async def test_a_listener_that_is_cancelled_leaves_the_bus_usable(redis_url: str) -> None:
    bus = open_bus(redis_url)

    async def listen(ready: asyncio.Event) -> None:
        async with bus.subscribe("cancelled") as heard:
            ready.set()
            await anext(heard)

    ready = asyncio.Event()
    task = asyncio.create_task(listen(ready))
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bus.append("cancelled", 1, b"x")
    assert await bus.last("cancelled") == (1, b"x")
    await bus.close()
