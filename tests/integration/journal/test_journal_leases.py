"""One process at a time trades for a bot, and a token tells it from those before."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sigma_bot.errors import BadInputError
from sigma_bot.journal import Journal, Lease, LeaseHeldError, LeaseLostError, open_journal
from sigma_bot.model.orders import Change
from tests.integration.journal.journal_processes import begin, hear, holding, told
from tests.integration.journal.journal_samples import NOW, identity, started

ACTIONS = ("acquire", "release", "commit")


async def test_a_lease_is_held_by_one(journal: Journal) -> None:
    await journal.register(identity(), NOW)
    before = time.time_ns()
    asked = time.monotonic_ns()
    lease = await journal.acquire("ema", "one", 30.0)
    assert lease.alive()
    assert asked < lease.deadline_ns < time.monotonic_ns() + 30 * 10**9
    with pytest.raises(LeaseHeldError, match="bot 'ema' is run by one, whose lease lasts until 20") as held:
        await journal.acquire("ema", "two", 30.0)
    assert held.value.holder == "one"
    assert before + 29 * 10**9 < held.value.until < time.time_ns() + 31 * 10**9


async def test_a_released_lease_is_free(journal: Journal) -> None:
    lease = await started(journal)
    await journal.release(lease)
    after = await journal.acquire("ema", "two", 30.0)
    assert after.token == lease.token + 1
    await journal.release(lease)  # too late: it is another's
    await journal.commit(after, Change(1, NOW))


async def test_the_same_holder_takes_over(journal: Journal) -> None:
    lease = await started(journal)
    after = await journal.acquire("ema", lease.holder, 30.0)
    assert after.token == lease.token + 1
    with pytest.raises(LeaseLostError, match="token 2, ours 1"):
        await journal.commit(lease, Change(1, NOW))


async def test_an_ended_lease_goes_to_the_next(journal: Journal) -> None:
    lease = await started(journal, ttl_s=0.0)
    assert not lease.alive()
    with pytest.raises(LeaseLostError, match="ended"):
        await journal.commit(lease, Change(1, NOW))
    await journal.renew(lease)  # nobody took it
    after = await journal.acquire("ema", "two", 30.0)
    with pytest.raises(LeaseLostError, match="went to two"):
        await journal.renew(lease)
    assert after.token == lease.token + 1


async def test_renewing_moves_the_deadline(journal: Journal) -> None:
    lease = await started(journal, ttl_s=20.0)
    first = lease.deadline_ns
    await journal.renew(lease)
    assert lease.deadline_ns > first
    with pytest.raises(LeaseHeldError):
        await journal.acquire("ema", "two", 1.0)


async def test_a_bot_that_is_not_known(journal: Journal) -> None:
    await journal.register(identity(), NOW)
    with pytest.raises(BadInputError, match="bot 'emma' is not in the journal; did you mean 'ema'"):
        await journal.acquire("emma", "one", 1.0)


async def test_renewals_do_not_wait_for_commits(journal: Journal) -> None:
    lease = await started(journal)

    async def commits() -> list[int]:
        return [await journal.commit(lease, Change(tick, NOW)) for tick in range(30)]

    async def renewals() -> None:
        for _ in range(30):
            await journal.renew(lease)

    numbers, _, _ = await asyncio.gather(commits(), renewals(), renewals())
    assert numbers == list(range(1, 31))


async def test_of_processes_that_ask_at_once_one_wins(database: str) -> None:
    async with await open_journal(database) as journal:
        await journal.register(identity(), NOW)
    with ExitStack() as stack:
        running = [stack.enter_context(holding(database, "acquire", "ema", f"p{n}")) for n in range(4)]
        for process in running:
            begin(process)
        answers = sorted([told(process) for process in running])
    assert answers[0] == "got 1"
    assert len(set(answers[1:])) == 1
    assert answers[1].startswith("held by p")


async def test_a_frozen_process_writes_nothing_when_it_wakes(database: str) -> None:
    async with await open_journal(database) as journal:
        await journal.register(identity(), NOW)
        with holding(database, "commit", "ema", "frozen", "idle") as process:
            begin(process)
            hear(process, "there")
            process.send_signal(signal.SIGSTOP)
            try:
                after = await taken_over(journal)
            finally:
                process.send_signal(signal.SIGCONT)
                begin(process)
            stored = await journal.commit(after, Change(0, NOW, state="ours"))
            said = process.communicate(timeout=60)[1]
        assert "LeaseLostError" in said
        loaded = await journal.load("ema")
        assert loaded is not None
        assert (loaded.state, loaded.commit) == ("ours", stored)


async def taken_over(journal: Journal) -> Lease:
    """The lease, after its time has ended."""
    await journal._database.run(lambda session: session.rows("UPDATE leases SET expires = 0"))
    return await journal.acquire("ema", "next", 60.0)


async def test_a_server_lets_go_of_a_frozen_transaction(postgres_database: str) -> None:
    async with await open_journal(postgres_database) as journal:
        await journal.register(identity(), NOW)
        with holding(postgres_database, "commit", "ema", "frozen", "COMMIT") as process:
            begin(process)
            hear(process, "there")
            process.send_signal(signal.SIGSTOP)
            after = await taken_over(journal)
            assert await journal.commit(after, Change(9, NOW)) == 3


@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(ACTIONS)), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_tried_one_holds_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("lease") / "journal.db"
    asyncio.run(play(str(path), steps))


async def play(url: str, steps: list[tuple[str, str]]) -> None:
    async with await open_journal(url) as journal:
        await journal.register(identity(), NOW)
        leases: dict[str, Lease] = {}
        owner, token, commits = "", 0, 0
        for who, action in steps:
            mine = leases.get(who)
            if action == "acquire":
                if owner in ("", who):
                    leases[who] = await journal.acquire("ema", who, 60.0)
                    owner, token = who, token + 1
                    assert leases[who].token == token
                else:
                    with pytest.raises(LeaseHeldError, match=f"run by {owner},"):
                        await journal.acquire("ema", who, 60.0)
            elif mine is None:
                continue
            elif action == "release":
                await journal.release(mine)
                owner = "" if owner == who and mine.token == token else owner
            elif owner == who and mine.token == token:
                commits += 1
                assert await journal.commit(mine, Change(1, NOW)) == commits
            else:
                with pytest.raises(LeaseLostError):
                    await journal.commit(mine, Change(1, NOW))
