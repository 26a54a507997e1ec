"""What a mailbox hands out together."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.model.messages import TickBatch
from sigma_bot.trading.mailbox import MAX_GROUP, Mailbox


def batch(seq: int) -> TickBatch:
    return TickBatch("upbit", seq, seq, (), ())


@given(st.lists(st.booleans(), max_size=60))
def test_order_is_kept_and_ticks_stand_alone(kinds):
    box, items = Mailbox(), []
    for i, tick in enumerate(kinds):
        items.append(batch(i) if tick else i)
        box.put(items[-1])  # type: ignore[arg-type]
    groups = []
    while group := box.take():
        groups.append(group)
    assert [item for group in groups for item in group] == items
    assert all(len(g) == 1 for g in groups if isinstance(g[0], TickBatch))
    assert not any(isinstance(item, TickBatch) for g in groups for item in g[1:])
    for one, two in itertools.pairwise(groups):
        assert isinstance(one[0], TickBatch) or isinstance(two[0], TickBatch)


def test_a_group_is_bounded():
    box = Mailbox()
    for i in range(MAX_GROUP + 1):
        box.put(i)  # type: ignore[arg-type]
    assert [len(box.take()), len(box.take()), len(box.take())] == [MAX_GROUP, 1, 0]


async def test_get_waits():
    box = Mailbox()
    getting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    assert not getting.done()
    box.put("a")  # type: ignore[arg-type]
    assert await getting == ["a"]
