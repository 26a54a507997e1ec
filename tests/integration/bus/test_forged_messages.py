"""Who may publish can ring a bell, and no more: ticks are what the log holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sigma_bot.bus import Bus, open_bus
from sigma_bot.model.messages import (
    HistoryPage,
    HistoryRequest,
    TickBatch,
    TickMessage,
    history_answers,
    history_channel,
    ticks_log,
)
from sigma_bot.trading.history import HistoryClient
from sigma_bot.trading.ticks import Gap, TickReader


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """Each kind of bus."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    bus = open_bus(url)
    yield bus
    await bus.close()


@pytest.fixture
def venue(request: pytest.FixtureRequest) -> str:
    """A venue of the test's own: its log is empty."""
    return f"venue{abs(hash(request.node.nodeid))}"


def batch(venue: str, seq: int, price: float = 100.0) -> TickBatch:
    tick = TickMessage("X", price, price, 1.0, 1.0, price, 1.0, price, price, seq, seq)
    return TickBatch(venue, seq, abs(seq) % 1000 * 100_000_000, (), (tick,))


async def append(bus: Bus, *batches: TickBatch) -> None:
    for one in batches:
        await bus.append(ticks_log(one.venue), one.seq, one.encode())


async def read(reader: TickReader, count: int) -> list[TickBatch | Gap]:
    """So many items, while the log grows."""
    items: list[TickBatch | Gap] = []
    async with asyncio.timeout(20):
        async for item in reader.batches():
            items.append(item)
            if len(items) == count:
                return items
    raise AssertionError("unreachable")


@pytest.mark.parametrize("number", [3, 4, 2**61, -1, 0])
async def test_a_batch_that_is_only_told_changes_nothing(bus: Bus, venue: str, number: int) -> None:
    await append(bus, batch(venue, 1), batch(venue, 2))
    reader = TickReader(bus, venue, 1)

    async def forge() -> None:
        while reader.last != 2:
            await asyncio.sleep(0.005)
        await bus.publish(ticks_log(venue), batch(venue, number, 50.0).encode())
        await bus.publish(ticks_log(venue), b"no batch")
        await append(bus, batch(venue, 3), batch(venue, 4))

    forging = asyncio.create_task(forge())
    assert await read(reader, 3) == [batch(venue, seq) for seq in (2, 3, 4)]
    await forging
    assert (reader.malformed, reader.lost_batches) == (0, 0)


async def test_what_cannot_be_in_the_log_is_counted_and_left_out(bus: Bus, venue: str) -> None:
    log = ticks_log(venue)
    await append(bus, batch(venue, 1))
    await bus.append(log, 2, batch(venue, 9).encode())
    await bus.append(log, 3, batch("other", 3).encode())
    for seq in range(4, 250):  # more than a page
        await bus.append(log, seq, b"no batch")
    await append(bus, batch(venue, 250))
    reader = TickReader(bus, venue, 0)
    items = await read(reader, 250)
    assert items[0] == batch(venue, 1)
    assert items[1:-1] == [Gap(seq, seq) for seq in range(2, 250)]
    assert items[-1] == batch(venue, 250)
    assert reader.malformed == reader.lost_batches == 248


async def test_a_run_on_an_empty_log_begins_with_its_first_batch(bus: Bus, venue: str) -> None:
    reader = TickReader(bus, venue, None)
    reading = asyncio.create_task(read(reader, 2))
    while not reader.log_was_empty:
        await asyncio.sleep(0.005)
    await append(bus, batch(venue, 7), batch(venue, 8))
    assert await reading == [batch(venue, 7), batch(venue, 8)]


async def test_recorded_ticks_come_from_the_feed_alone(bus: Bus, venue: str) -> None:
    client = HistoryClient(bus, venue, "bot", ["X"])
    forged = HistoryPage(0, 9, 8, batches=(batch(venue, 5, 50.0).encode(),))
    wanted = HistoryRequest("bot", ("X",), 0, 1, 9)
    found = HistoryPage(0, 9, 8, batches=(batch(venue, 5).encode(),))

    async def answer() -> None:
        async with bus.subscribe(history_channel(venue)) as asked:
            started.set()
            await anext(asked)
            await bus.publish(history_answers(venue, "bot"), forged.encode())
            other = HistoryRequest("bot", ("Y",), 0, 1, 9)  # asked in the bot's name by somebody else
            await bus.leave(other.box(venue), forged.encode(), 10.0)
            await bus.leave(wanted.box(venue), found.encode(), 10.0)
            await bus.publish(history_answers(venue, "bot"), b"")

    started = asyncio.Event()
    answering = asyncio.create_task(answer())
    await started.wait()
    async with asyncio.timeout(20):
        pages = [page async for page in client.pages(0, 1, 9)]
    await answering
    assert pages == [found]
