"""A database that cannot be used is refused in words a user can act on, without its password."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.database.errors import StorageError, UnreachableError
from sigma_bot.errors import BadInputError
from sigma_bot.results import open_store, use_store
from sigma_bot.results.store import Store
from tests.integration.storage import storage_samples as samples
from tests.support import ROOT, servers

# A driver's thread that complains after the fact would write its traceback below our message.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

SECRET = "pa:ss@w/rd"
ESCAPED = "pa%3Ass%40w%2Frd"


def refused(url: str, work: Callable[[Store], Awaitable[Any]] | None = None, **options: Any) -> str:
    """The words that refuse opening ``url`` (or then ``work``); no secret is in the whole traceback."""

    async def attempt() -> None:
        async with await open_store(url, **options) as store:
            await (work or save)(store)

    with pytest.raises(StorageError) as raised:
        asyncio.run(attempt())
    told = "".join(traceback.format_exception(raised.value))
    assert SECRET not in told
    assert ESCAPED not in told
    assert raised.value.exit_code == (1 if isinstance(raised.value, UnreachableError) else 2)
    return str(raised.value)


async def save(store: Store, count: int = 5) -> str:
    return await store.save_result(samples.result(count), samples.trades(), {})


def stored(url: str) -> int:
    return len(use_store(lambda store: store.list_runs(limit=1000), url))


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root may write anywhere; for the block we are nobody."""
    user = servers.server_user()
    if user is None:
        yield
        return
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def with_secret(url: str) -> str:
    """The server's address with another password."""
    head, _, host = url.rpartition("@")
    return f"{head.rpartition(':')[0]}:{ESCAPED}@{host}"


def test_a_wrong_password(postgres_database: str) -> None:
    told = refused(with_secret(postgres_database))
    assert "the user name or the password is wrong" in told
    assert "sigma:***@127.0.0.1" in told


def test_a_server_that_is_not_there() -> None:
    told = refused(f"postgresql://sigma:{ESCAPED}@127.0.0.1:1/runs")
    assert told.startswith("database postgresql://sigma:***@127.0.0.1:1/runs: cannot be reached")
    assert "check that the server runs" in told


def test_a_host_that_does_not_exist() -> None:
    assert "cannot be reached" in refused(f"postgresql://sigma:{ESCAPED}@nowhere.invalid/runs")


def test_a_database_that_does_not_exist(postgres_server: servers.Postgres) -> None:
    assert "no such database on this server" in refused(postgres_server.database_url("nothing"))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://sigma:{SECRET}@host:port/runs",
        f"postgresql://sigma:{ESCAPED}@127.0.0.1:99999/runs",
        f"postgresql://sigma:{ESCAPED}@127.0.0.1/runs?nonsense=1&password={SECRET}",
    ],
)
def test_an_address_that_cannot_be_read(url: str) -> None:
    told = refused(url)
    assert "cannot be read" in told or "cannot be reached" in told


def test_a_read_only_server(postgres_database: str, postgres_server: servers.Postgres) -> None:
    assert stored(postgres_database) == 0
    name = postgres_database.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "the database is read-only" in refused(postgres_database)
    assert stored(postgres_database) == 0


def test_a_user_without_rights(postgres_database: str, postgres_server: servers.Postgres) -> None:
    name = postgres_database.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE guest_{name} LOGIN PASSWORD '{SECRET}'")
    url = with_secret(postgres_database).replace("//sigma:", f"//guest_{name}:")
    assert "grant CREATE" in refused(url)


def test_a_server_that_stops_while_storing(postgres_database: str, postgres_server: servers.Postgres) -> None:
    async def cut_off(store: Store) -> None:
        await store.list_runs()
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        await asyncio.to_thread(
            postgres_server.execute, f"{ours} AND datname = current_database()", database=name
        )
        # The next use notices the dead connection and takes a new one: a long-lived process goes on.
        await save(store)

    name = postgres_database.rpartition("/")[2]
    use_store(cut_off, postgres_database)
    assert stored(postgres_database) == 1


def test_another_process_that_migrates_too_long(postgres_database: str) -> None:
    import asyncpg

    from sigma_bot.schema import migrate

    async def attempt() -> str:
        holder = await asyncpg.connect(postgres_database)
        try:
            await holder.execute("SELECT pg_advisory_lock($1)", migrate._ADVISORY_KEY)
            with pytest.raises(StorageError) as raised:
                await open_store(postgres_database, lock_timeout=0.05)
        finally:
            await holder.close()
        return str(raised.value)

    assert "another process holds the lock" in asyncio.run(attempt())
    assert stored(postgres_database) == 0


@pytest.mark.parametrize("fresh", [True, False], ids=["new file", "existing file"])
def test_a_file_locked_too_long(tmp_path: Path, fresh: bool) -> None:
    file = tmp_path / "runs.db"
    if not fresh:
        assert stored(str(file)) == 0
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert "another process holds the lock" in refused(str(file), lock_timeout=0.05)
    finally:
        holder.close()
    assert stored(str(file)) == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not: every run closes those of all runs."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_read_only_file(open_folder: Path) -> None:
    file = open_folder / "runs.db"
    assert stored(str(file)) == 0
    file.chmod(0o444)
    open_folder.chmod(0o555)
    with as_ordinary_user():
        told = refused(str(file))
    open_folder.chmod(0o755)
    assert "read-only" in told or "its folder must exist and be writable" in told


def test_a_read_only_folder(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_ordinary_user():
        in_it = refused(str(open_folder / "runs.db"))
        below = refused(str(open_folder / "folder" / "runs.db"))
    open_folder.chmod(0o755)
    assert "its folder must exist and be writable" in in_it
    assert f"folder {open_folder / 'folder'} cannot be made (Permission denied)" in below
    assert list(open_folder.iterdir()) == []


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    assert "is a folder; name a file" in refused(str(tmp_path))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "cannot be made" in refused(str(tmp_path / "taken" / "runs.db"))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("time,open,high,low,close\n" * 100)
    before = file.read_bytes()
    assert "is not a SQLite database" in refused(str(file))
    assert file.read_bytes() == before


def test_reading_makes_no_file(tmp_path: Path) -> None:
    told = refused(str(tmp_path / "runs.db"), create=False)
    assert "the file does not exist; `sigma backtest` makes it" in told
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_a_newer_version(database: str) -> None:
    import sqlalchemy as sa

    async def age(store: Store) -> None:
        newer = sa.text("UPDATE sigma_version SET version_num = '9999'")
        await store._run(lambda connection: connection.execute(newer), "BEGIN IMMEDIATE")

    use_store(age, database)
    told = refused(database)
    assert "written by a newer version of SIGMA-X" in told
    assert "update SIGMA-X" in told


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    """A disk of 2 MB that anyone may write to."""
    disk = open_folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", disk],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    url = str(small_disk / "runs.db")
    use_store(save, url)
    told = refused(url, lambda store: save(store, 20_000))
    assert "the disk is full" in told
    assert "nothing was stored" in told
    assert stored(url) == 1


def test_a_full_disk_of_the_server(small_disk: Path, postgres_server: servers.Postgres) -> None:
    servers._give(small_disk)
    subprocess.run(["mount", "-o", "remount,size=32m", small_disk], check=True)
    postgres_server.execute(
        f"CREATE TABLESPACE small LOCATION '{small_disk}'", "CREATE DATABASE tight TABLESPACE small"
    )
    url = postgres_server.database_url("tight")
    try:
        use_store(save, url)
        told = refused(url, lambda store: save(store, 100_000))
        assert "the server's disk is full" in told
        # a new connection may have to write a cache file of the catalogue; give it room for that
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        assert stored(url) == 1
    finally:
        postgres_server.execute("DROP DATABASE tight", "DROP TABLESPACE small")


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    use_store(save, str(file))
    limit = 400_000

    def quota() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.storage.storing", file, "20"],
        cwd=ROOT,
        input="\n",
        capture_output=True,
        text=True,
        preexec_fn=quota,
        check=False,
    )
    assert done.returncode == 1
    assert "StorageError" in done.stderr
    assert "nothing was stored" in done.stderr
    ids = done.stdout.split()[1:]
    assert stored(str(file)) == 1 + len(ids)


def test_a_scheme_that_is_not_known() -> None:
    with pytest.raises(BadInputError, match="did you mean 'postgresql'"):
        use_store(lambda store: store.list_runs(), f"postgresq://sigma:{ESCAPED}@host/runs")
