"""Processes killed while they commit, servers that go away: a change is there whole or not at all."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sigma_bot.database import driver
from sigma_bot.database.errors import CommitUnknownError, StorageError
from sigma_bot.journal import Journal, open_journal, single_statement
from sigma_bot.model.orders import Change
from tests.integration.journal.holding import step
from tests.integration.journal.journal_processes import begin, hear, holding, told
from tests.integration.journal.journal_samples import NOW, identity, started, whole
from tests.support import servers


async def assert_whole(journal: Journal, least: int) -> int:
    """Every step up to the last commit is there whole, and nothing else. Returns its number."""
    loaded = await journal.load("ema")
    assert loaded is not None
    last = loaded.commit
    assert last >= least, "what was said to be stored is stored"
    assert (loaded.state, loaded.tick, loaded.inputs) == (
        (str(last) * 500, last, last) if last else (None, 0, 0)
    )
    since = await journal.changes_since("ema", 0)
    steps = [step(number) for number in range(1, last + 1)]
    assert [entry.row for entry in since.orders] == [row for one in steps for row in one.orders]
    assert [entry.row for entry in since.fills] == [row for one in steps for row in one.fills]
    assert [entry.row for entry in since.inputs] == [row for one in steps for row in one.inputs]
    assert [entry.row for entry in since.notices] == [row for one in steps for row in one.notices]
    return last


@pytest.mark.parametrize("table", ["orders", "fills", "inputs", "notices", "checkpoints", "COMMIT"])
async def test_a_process_killed_while_it_commits_leaves_no_trace(database: str, table: str) -> None:
    async with await open_journal(database) as journal:
        await journal.register(identity(), NOW)
        with holding(database, "commit", "ema", "killed", table) as process:
            begin(process)
            hear(process, "there")
            process.kill()
            process.wait(timeout=60)
        assert await assert_whole(journal, 2) == 2
        lease = await journal.acquire("ema", "killed", 60.0)
        assert await journal.commit(lease, step(3)) == 3
        await assert_whole(journal, 3)


async def test_a_process_killed_at_any_moment_leaves_whole_changes(database: str) -> None:
    async with await open_journal(database) as journal:
        await journal.register(identity(), NOW)
        with holding(database, "commit", "ema", "killed") as process:
            begin(process)
            said = 0
            while said < 40:
                said = int(told(process))
            process.send_signal(signal.SIGKILL)
            rest = process.communicate(timeout=60)[0].split()
        last = await assert_whole(journal, int(rest[-1]) if rest else said)
        assert last >= 40


async def test_the_file_is_sound_after_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with await open_journal(str(file)) as journal:
        await journal.register(identity(), NOW)
    with holding(str(file), "commit", "ema", "killed", "fills") as process:
        begin(process)
        hear(process, "there")
        process.kill()
        process.wait(timeout=60)
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def cut(server: servers.Postgres, url: str) -> None:
    """End every connection to the database."""
    ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    server.execute(f"{ours} AND datname = current_database()", database=url.rpartition("/")[2])


async def test_a_cut_connection_is_replaced(
    postgres_database: str, postgres_server: servers.Postgres
) -> None:
    async with await open_journal(postgres_database) as journal:
        lease = await started(journal)
        await asyncio.to_thread(cut, postgres_server, postgres_database)
        assert await journal.commit(lease, step(1)) == 1
        await journal.renew(lease)


async def test_a_connection_cut_inside_a_commit_stores_nothing(
    postgres_database: str, postgres_server: servers.Postgres
) -> None:
    async with await open_journal(postgres_database) as journal:
        lease = await started(journal)

        def admit(_: Any) -> None:
            # Its own loop: the commit waits for this call.
            cutting = threading.Thread(target=cut, args=(postgres_server, postgres_database))
            cutting.start()
            cutting.join()

        await journal.commit(lease, step(1))
        with pytest.raises(StorageError, match="nothing was stored"):
            await journal.commit(lease, replace(step(2), usage=whole().usage), admit)
        assert await assert_whole(journal, 1) == 1
        assert await journal.commit(lease, step(2)) == 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("way", ["at once", "by statements"])
async def test_a_lost_answer_of_a_commit_is_looked_up(
    postgres_database: str,
    postgres_server: servers.Postgres,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    when: str,
) -> None:
    """The connection is cut just before the server commits, or just after: what is told is what happened."""
    async with await open_journal(postgres_database) as journal:
        lease = await started(journal)
        await journal.commit(lease, step(1))
        assert lease.commits == 1
        if way == "by statements":
            lease.commits = None
        last = "rows" if way == "at once" else "end"
        original = getattr(driver._PostgresConnection, last)

        async def asked(self: Any, *question: Any) -> Any:
            monkeypatch.setattr(driver._PostgresConnection, last, original)
            if when == "after":
                await original(self, *question)
            await asyncio.to_thread(cut, postgres_server, postgres_database)
            return await original(self, *question)

        monkeypatch.setattr(driver._PostgresConnection, last, asked)
        if when == "after":
            assert await journal.commit(lease, step(2)) == 2
        else:
            with pytest.raises(StorageError, match="nothing was stored") as raised:
                await journal.commit(lease, step(2))
            assert not isinstance(raised.value, CommitUnknownError)
            assert await journal.commit(lease, step(2)) == 2
        await assert_whole(journal, 2)


async def test_a_commit_that_arrives_late_stores_nothing(postgres_database: str) -> None:
    """Its answer was given up, the change was stored by another way, and only then the server reads it."""
    async with await open_journal(postgres_database) as journal:
        lease = await started(journal)
        await journal.commit(lease, step(1))
        late = single_statement.build(lease, 1, Change(9, NOW, state="late"))
        assert await journal.commit(lease, step(2)) == 2
        line = await asyncpg.connect(postgres_database.replace("+asyncpg", ""))
        assert await line.fetch(late[0], *late[1]) == []
        await journal.release(lease)
        again = await journal.acquire("ema", lease.holder, 60.0)
        late = single_statement.build(lease, 2, Change(9, NOW, state="late"))
        assert await line.fetch(late[0], *late[1]) == []
        await line.close()
        assert await assert_whole(journal, 2) == 2
        assert await journal.commit(again, step(3)) == 3


async def test_a_cancelled_commit_leaves_the_journal_usable(journal: Journal) -> None:
    lease = await started(journal)
    for _ in range(10):
        task = asyncio.create_task(journal.commit(lease, Change(1, NOW)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    loaded = await journal.load("ema")
    assert loaded is not None
    assert await journal.commit(lease, Change(1, NOW)) == loaded.commit + 1


async def test_nobody_takes_the_lease_inside_a_commit(
    postgres_database: str, postgres_server: servers.Postgres
) -> None:
    """Between the check of the lease and the commit, the lease's row cannot change."""
    refused: list[str] = []

    def take() -> None:
        take_it = ("SET lock_timeout = '100ms'", "UPDATE leases SET token = token + 1")
        try:
            postgres_server.execute(*take_it, database=postgres_database.rpartition("/")[2])
        except asyncpg.LockNotAvailableError as error:
            refused.append(str(error))

    def admit(_: Any) -> None:
        taking = threading.Thread(target=take)
        taking.start()
        taking.join()

    async with await open_journal(postgres_database) as journal:
        lease = await started(journal)
        assert await journal.commit(lease, replace(step(1), usage=whole().usage), admit) == 1
    assert len(refused) == 1
