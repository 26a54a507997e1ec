"""The workqueue: order, one worker for a key at a time, retries."""

from __future__ import annotations

import asyncio

from sigma_operator.kubernetes.workqueue import Key, WorkQueue, run_worker

A, B, C = (("Strategy", "ns", name) for name in "abc")


async def test_a_key_is_queued_once() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert await queue.get() == A
    assert await queue.get() == B
    assert len(queue) == 2
    queue.done(A, None)
    queue.done(B, None)
    assert len(queue) == 0


async def test_a_key_added_while_it_is_processed_is_queued_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == B, "A is still being processed"
    queue.done(A, None)
    assert await queue.get() == A


async def test_an_urgent_key_comes_first_and_once() -> None:
    queue = WorkQueue()
    for key in (A, B, C):
        queue.add(key)
    queue.add(C, urgent=True)
    queue.add(C)
    assert [await queue.get(), await queue.get(), await queue.get()] == [C, A, B]
    queue.add(C)
    queue.add(C, urgent=True)
    for key in (A, B):
        queue.add(key)
        queue.done(key, None)
    assert len(queue) == 3, "C is being processed"
    queue.done(C, None)
    assert await queue.get() == C, "urgent once more"
    assert {await queue.get(), await queue.get()} == {A, B}


async def test_failures_are_retried_with_growing_delays() -> None:
    queue = WorkQueue()
    delays = []
    for _ in range(12):
        queue.add(A)
        await queue.get()
        delays.append(queue.failed(A))
    assert delays[0] < delays[1] < delays[2]
    assert delays[-1] == delays[-2] == 60
    queue.add(A)
    await queue.get()
    queue.done(A, None)
    queue.add(A)
    await queue.get()
    assert queue.failed(A) == delays[0], "success resets the back-off"


async def test_adding_a_key_cancels_its_delayed_addition() -> None:
    queue = WorkQueue()
    queue.add_after(A, 3600)
    queue.add(A)
    assert await queue.get() == A
    assert not queue._timers


async def test_a_reconcile_that_raises_stops_no_other() -> None:
    queue, seen, reported = WorkQueue(), [], []
    over = asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        seen.append(key)
        if key == A:
            raise RuntimeError("broken")
        over.set()
        return None

    worker = asyncio.create_task(run_worker(queue, reconcile, lambda key, error, delay: reported.append(key)))
    queue.add(A)
    queue.add(B)
    await asyncio.wait_for(over.wait(), 5)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert seen == [A, B]
    assert reported == [A]
