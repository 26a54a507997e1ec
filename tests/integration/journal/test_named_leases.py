"""Leases of what is no bot: one holder, a token that rises, nothing stored by one that has lost it."""

from __future__ import annotations

import asyncio
import time

import pytest

from sigma_bot.database.driver import Session
from sigma_bot.journal import Journal, LeaseHeldError, LeaseLostError, NamedLease, open_journal

NAME = "scheduler"


async def note(session: Session) -> str:
    """Some work in the database: a control."""
    await session.rows(
        "INSERT INTO controls (scope, name, action, reason, by, ts) VALUES ('all', '', 'halt', '', 'it', 1)"
    )
    return "noted"


async def notes(journal: Journal) -> int:
    return len(await journal.control_history())


async def test_it_is_held_by_one(journal: Journal) -> None:
    asked = time.monotonic_ns()
    lease = await journal.acquire_named(NAME, "one", 30.0)
    assert (lease.token, lease.alive()) == (1, True)
    assert asked < lease.deadline_ns < time.monotonic_ns() + 30 * 10**9
    with pytest.raises(LeaseHeldError, match="lease 'scheduler' is run by one, whose lease lasts until 20"):
        await journal.acquire_named(NAME, "two", 30.0)
    other = await journal.acquire_named("reports", "two", 30.0)
    assert other.token == 1
    assert await journal.fenced(lease, note) == "noted"
    assert await notes(journal) == 1


async def test_a_released_one_is_free_and_its_token_rises(journal: Journal) -> None:
    lease = await journal.acquire_named(NAME, "one", 30.0)
    await journal.release_named(lease)
    assert not lease.alive()
    with pytest.raises(LeaseLostError, match="was given back"):
        await journal.fenced(lease, note)
    after = await journal.acquire_named(NAME, "two", 30.0)
    assert after.token == 2
    await journal.release_named(lease)  # too late: it is another's
    assert await journal.fenced(after, note) == "noted"
    assert await notes(journal) == 1


async def test_the_same_holder_takes_over(journal: Journal) -> None:
    lease = await journal.acquire_named(NAME, "one", 30.0)
    after = await journal.acquire_named(NAME, "one", 30.0)
    assert after.token == 2
    for call in (journal.fenced(lease, note), journal.renew_named(lease)):
        with pytest.raises(LeaseLostError, match=r"went to one \(token 2, ours 1\)"):
            await call
    assert await notes(journal) == 0


async def test_an_ended_one_goes_to_the_next(journal: Journal) -> None:
    lease = await journal.acquire_named(NAME, "one", 0.0)
    assert not lease.alive()
    with pytest.raises(LeaseLostError, match="ended"):
        await journal.fenced(lease, note)
    await journal.renew_named(lease)  # nobody took it
    after = await journal.acquire_named(NAME, "two", 30.0)
    assert after.token == 2
    with pytest.raises(LeaseLostError, match="went to two"):
        await journal.renew_named(lease)


async def test_what_raises_stores_nothing(journal: Journal) -> None:
    lease = await journal.acquire_named(NAME, "one", 30.0)

    async def breaks(session: Session) -> None:
        await note(session)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await journal.fenced(lease, breaks)
    assert await notes(journal) == 0


async def test_of_many_that_ask_at_once_one_wins(database: str) -> None:
    async with await open_journal(database) as one, await open_journal(database) as two:
        asked = [journal.acquire_named(NAME, f"p{n}", 30.0) for n, journal in enumerate((one, two, one, two))]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, NamedLease)]
    assert [lease.token for lease in won] == [1]
    assert sum(isinstance(answer, LeaseHeldError) for answer in answers) == 3


async def test_nobody_takes_it_within_a_transaction_under_it(postgres_database: str) -> None:
    async with await open_journal(postgres_database) as journal:
        lease = await journal.acquire_named(NAME, "one", 30.0)
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def slow(session: Session) -> None:
            inside.set()
            await go_on.wait()
            await note(session)

        working = asyncio.create_task(journal.fenced(lease, slow))
        await inside.wait()
        taking = asyncio.create_task(journal.acquire_named(NAME, "one", 30.0))
        done, _ = await asyncio.wait({taking}, timeout=0.3)
        assert not done, "the row is held to the end of the transaction"
        go_on.set()
        await working
        assert (await taking).token == 2
        assert await notes(journal) == 1
