"""Processes that are killed while they store, and several that store at once: no run is ever half there."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sigma_bot.results import open_store
from sigma_bot.results.records import StoredRun
from sigma_bot.results.store import Store
from tests.integration.storage import storage_samples as samples
from tests.support import ROOT


@contextmanager
def storing(url: str, count: int = 1, stop: str = "") -> Iterator[subprocess.Popen[str]]:
    """The process of storing.py, ready to begin; ended at the end of the block if it still runs."""
    module = "tests.integration.storage.storing"
    command = [sys.executable, "-m", module, url, str(count), *([stop] if stop else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def wait_until_there(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"


async def stored(url: str) -> list[StoredRun]:
    """Every run, each read back whole: 300 orders, fills and equity samples, 3 trades."""
    async with await open_store(url) as store:
        runs = await store.list_runs(limit=1000)
        for run in runs:
            await assert_whole(store, run)
        return runs


async def assert_whole(store: Store, run: StoredRun) -> None:
    full = await store.load_full(run.id)
    sizes = {len(full.result.orders), len(full.result.fills), len(full.result.equity)}
    assert (sizes, len(full.trades), full.result.rejections) == ({300}, 3, samples.result().rejections)


@pytest.mark.parametrize(
    ("table", "how"),
    [
        ("run_orders", signal.SIGKILL),
        ("run_rejections", signal.SIGKILL),
        ("run_fills", signal.SIGINT),
    ],
)
def test_a_process_ended_while_it_stores_leaves_no_trace(
    database: str, table: str, how: signal.Signals
) -> None:
    async def save() -> str:
        async with await open_store(database) as store:
            return await store.save_result(samples.result(300), samples.trades(), {})

    before = asyncio.run(save())
    with storing(database, stop=table) as process:
        begin(process)
        wait_until_there(process)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
        assert process.returncode != 0
        assert "Exception in thread" not in said, "only the interrupt itself is told"
    assert [run.id for run in asyncio.run(stored(database))] == [before]
    after = asyncio.run(save())
    assert [run.id for run in asyncio.run(stored(database))] == [after, before]


def test_a_process_killed_while_it_migrates_leaves_no_trace(database: str) -> None:
    with storing(database, stop="migration:run_equity") as process:
        begin(process)
        wait_until_there(process)
        process.kill()
        process.wait(timeout=60)
    assert asyncio.run(stored(database)) == []


def test_processes_that_start_and_store_at_once_all_succeed(database: str) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(storing(database, count=4)) for _ in range(3)]
        for process in processes:
            begin(process)
        told = [process.communicate(timeout=120)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
    runs = asyncio.run(stored(database))
    assert sorted(run.id for run in runs) == sorted(run for ids in told for run in ids)
    assert len(runs) == 12


def test_a_reader_sees_whole_runs_while_another_process_stores(database: str) -> None:
    assert asyncio.run(stored(database)) == []
    with storing(database, stop="run_fills") as process:
        begin(process)
        wait_until_there(process)
        assert asyncio.run(stored(database)) == []


def test_the_sqlite_file_is_sound_after_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with storing(str(file), stop="run_equity") as process:
        begin(process)
        wait_until_there(process)
        process.kill()
        process.wait(timeout=60)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    connection.close()
