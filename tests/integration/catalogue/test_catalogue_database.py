"""The catalogue in a database is the folder's, to the last bit; nothing damaged or half-done is read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from pyarrow import parquet

from sigma_bot.cli.data import data
from sigma_bot.data import catalogue_database
from sigma_bot.data.catalogue import open_catalogue
from sigma_bot.data.catalogue_database import DatabaseCatalogue
from sigma_bot.data.catalogue_entries import Entry
from sigma_bot.data.catalogue_folder import FolderCatalogue
from sigma_bot.data.importing import Options, import_files
from sigma_bot.data.market import open_request
from sigma_bot.data.request import Request, Wanted
from sigma_bot.data.schema import market_files, market_pieces
from sigma_bot.data.synthetic import synthetic_bars, synthetic_ticks
from sigma_bot.database.errors import StorageError, UnreachableError
from sigma_bot.errors import BadInputError, SigmaError
from tests.integration.storage.tables_before import migrate_to
from tests.support import servers

T0 = 1_704_067_200_000_000_000
MINUTE = 60_000_000_000
ROWS = 60_000
TRADES = Entry("local", "X", "trades")
Sigma = Callable[..., str]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of an empty database that is the catalogue."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'catalogue.db'}"
    else:
        address = request.getfixturevalue("postgres_database")
    monkeypatch.setenv("SIGMA_DATA", address)
    return address


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of small markets take several pieces too."""
    monkeypatch.setattr(catalogue_database, "PIECE", 1 << 16)


@pytest.fixture
def sigma() -> Sigma:
    """What ``sigma data ...`` prints; an error of ours is raised."""

    def run(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(data, [str(a) for a in arguments])
        if isinstance(done.exception, SigmaError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file and give its path."""

    def make(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


def digest(symbol: str, **options: Any) -> str:
    """The digest of a symbol's rows in the catalogue."""
    market = open_request(Request((Wanted(symbol),), source="catalogue", **options))
    assert sum(len(chunk["ts"]) for chunk in market.chunks()) == market.rows
    return market.digest()


def trades(*seconds: int, price: str = "1") -> str:
    """A file of trades at these seconds."""
    return "ts,price,size,id\n" + "".join(f"{T0 // 10**9 + s},{price},1,{s}\n" for s in seconds)


def change(catalogue: str, statement: sa.Executable) -> None:
    """Do something to the tables that no import does."""
    where = DatabaseCatalogue(catalogue)
    where.store(lambda connection: connection.execute(statement) and None)  # type: ignore[arg-type]
    where.close()


def generated(folder: Path, kind: str) -> Path:
    """Some hours of ticks, or two months of bars; a file of it takes several pieces."""
    columns = synthetic_ticks(ROWS, 4) if kind == "ticks" else synthetic_bars(ROWS, 4)
    del columns["symbol"]
    times = pa.array(columns.pop("ts"), pa.timestamp("ns", "UTC"))
    path = folder / f"{kind}.parquet"
    parquet.write_table(pa.table({"ts": times, **columns}), path)
    return path


@pytest.mark.parametrize("kind", ["ticks", "bars"])
def test_it_is_the_folder_to_the_last_bit(
    kind: str, place: str, sigma: Sigma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = generated(tmp_path, kind), tmp_path / "folder"
    options = ("--symbol", "A/B", "--venue", "v", "--stamps", "open")
    told = sigma("import", path, *options)
    assert told == sigma("import", path, *options, "--to", folder)
    here = [
        sigma("list", "--output", "json"),
        sigma("check", json.loads(sigma("list", "--output", "json"))[0]["name"]),
    ]
    whole, part = digest("A/B"), digest("A/B", start=T0 + 20 * MINUTE, end=T0 + 27 * MINUTE)
    monkeypatch.setenv("SIGMA_DATA", str(folder))
    assert here == [sigma("list", "--output", "json"), sigma("check", json.loads(here[0])[0]["name"])]
    assert (whole, part) == (
        digest("A/B"),
        digest("A/B", start=T0 + 20 * MINUTE, end=T0 + 27 * MINUTE),
    )

    where, found = FolderCatalogue(folder), DatabaseCatalogue(place)
    assert found.entries() == where.entries()
    rows = found._line.run(lambda c: c.execute(sa.select(market_files.c.date, market_files.c.digest)).all())
    pieces = found._line.run(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(market_pieces)).scalar()
    )
    found.close()
    entry = where.entries()[0]
    contents = {date: (folder / entry.path(date)).read_bytes() for date in where.dates(entry)}
    assert {date: hashlib.sha256(held).hexdigest() for date, held in contents.items()} == dict(rows)
    assert (
        pieces == sum(-(-len(held) // catalogue_database.PIECE) for held in contents.values()) > len(contents)
    )


def test_memory_is_bounded_by_a_few_pieces(
    place: str, sigma: Sigma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sigma("import", generated(tmp_path, "ticks"), "--symbol", "X")
    whole = digest("X")
    monkeypatch.setattr(catalogue_database, "KEPT", 1)
    monkeypatch.setattr(catalogue_database, "AHEAD", 1)
    catalogue = DatabaseCatalogue(place)
    entry = catalogue.entries()[0]
    for file in catalogue.open(entry, catalogue.dates(entry)):
        for _ in file.batches({"bid": "number", "ask": "number"}):
            assert len(catalogue._pieces) == 1
    catalogue.close()
    assert digest("X") == whole


def test_imports_join_repeat_and_replace(place: str, sigma: Sigma, write: Callable[[str, str], Path]) -> None:
    assert "is empty" in sigma("list")
    one, two = write("one.csv", trades(1, 3)), write("two.csv", trades(2, 3, 86_401))
    assert "2 stored" in sigma("import", one, "--symbol", "X")
    assert "3 rows read, 2 stored, 1 repeated dropped" in sigma("import", two, "--symbol", "X")
    assert "0 stored" in sigma("import", one, "--symbol", "X")
    assert json.loads(sigma("list", "--output", "json")) == [
        {"name": "local/X/trades", "rows": 4, "first": "2024-01-01", "last": "2024-01-02"}
    ]
    sigma("import", one, "--symbol", "X", "--replace")
    assert json.loads(sigma("list", "--output", "json"))[0]["rows"] == 3
    assert "clean" in sigma("check", "local/X/trades")
    with pytest.raises(BadInputError, match="did you mean 'local/X/trades'"):
        sigma("show", "local/X/trade")
    with pytest.raises(BadInputError, match=r"the catalogue .* has no 'Y'.*it has local/X/trades"):
        digest("Y")


def test_a_failed_import_leaves_nothing(
    place: str,
    sigma: Sigma,
    write: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Neither rows nor temporary files: whether its input is bad, or it breaks off while it stores."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    good, bad = write("good.csv", trades(1, 90_000)), write("bad.csv", trades(2, price="-1"))
    with pytest.raises(BadInputError, match=r"price is -1\.0"):
        sigma("import", good, bad, "--symbol", "X")
    calls = []

    def breaks(*arguments: Any) -> Iterator[Any]:
        calls.append(arguments)
        if len(calls) == 2:
            raise BadInputError("broken off")
        return pieces_of(*arguments)

    pieces_of = catalogue_database._pieces_of
    monkeypatch.setattr(catalogue_database, "_pieces_of", breaks)
    with pytest.raises(BadInputError, match="broken off"):
        sigma("import", good, "--symbol", "X")
    assert "is empty" in sigma("list")
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (market_pieces.update().values(content=b"PAR1"), r"piece 1 of 1 is damaged: it has 4 bytes with"),
        (market_pieces.delete(), "piece 1 of 1 is missing"),
    ],
    ids=["damaged", "missing"],
)  # fmt: skip
def test_a_damaged_part_is_named_and_can_be_replaced(
    place: str, sigma: Sigma, write: Callable[[str, str], Path], statement: sa.Executable, told: str
) -> None:
    path = write("x.csv", trades(1, 2))
    sigma("import", path, "--symbol", "X")
    before = digest("X")
    change(place, statement)
    for use in (
        lambda: digest("X"),
        lambda: sigma("check", "local/X/trades"),
        lambda: sigma("import", path, "--symbol", "X"),
    ):
        with pytest.raises(BadInputError, match=f"local/X/trades/2024-01-01.parquet: {told}.*--replace"):
            use()
    sigma("import", path, "--symbol", "X", "--replace")
    assert digest("X") == before


def test_damage_in_the_middle_ends_a_run_that_is_under_way(place: str, sigma: Sigma, tmp_path: Path) -> None:
    sigma("import", generated(tmp_path, "ticks"), "--symbol", "X")
    market = open_request(Request((Wanted("X"),), source="catalogue"))
    change(
        place,
        market_pieces.update()
        .where(market_pieces.c.number == 1)
        .values(content=b"\0" * catalogue_database.PIECE),
    )
    with pytest.raises(BadInputError, match=r"local/X/ticks/2024-01-0\d.parquet: piece 2 of \d+ is damaged"):
        list(market.chunks())


def test_a_file_that_is_replaced_while_it_is_read(place: str, sigma: Sigma, tmp_path: Path) -> None:
    path = generated(tmp_path, "ticks")
    sigma("import", path, "--symbol", "X")
    market = open_request(Request((Wanted("X"),), source="catalogue"))
    sigma("import", path, "--symbol", "X", "--replace")
    with pytest.raises(BadInputError, match="was replaced by another import while it was read; run again"):
        list(market.chunks())


def begun(
    place: str, path: Path, **said: Any
) -> tuple[threading.Thread, threading.Event, threading.Event, list[Any]]:
    """An import on a thread of its own that stops before it stores: told by the first event, it waits for
    the second one. The list has what came of it."""
    ready, go, came = threading.Event(), threading.Event(), []

    class Waiting(DatabaseCatalogue):
        def store(self, work: Callable[[sa.Connection], None]) -> None:
            ready.set()
            assert go.wait(60)
            super().store(work)

    def work() -> None:
        catalogue = Waiting(place)
        try:
            came.append(import_files([path], Options(catalogue, symbol="X", **said), []))
        except BadInputError as error:
            came.append(error)  # type: ignore[arg-type]
        finally:
            catalogue.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ready, go, came


def test_one_file_imported_twice_at_a_time_is_there_once(
    place: str, write: Callable[[str, str], Path]
) -> None:
    path = write("x.csv", trades(1, 2, 90_000))
    imports = [begun(place, path) for _ in range(2)]
    assert all(ready.wait(60) for _, ready, _, _ in imports)
    for _, _, go, _ in imports:
        go.set()
    for thread, *_ in imports:
        thread.join(60)
    assert [came[0][0].stored for *_, came in imports] == [3, 3]
    catalogue = open_catalogue()
    assert catalogue.rows(TRADES) == 3
    catalogue.close()
    digest("X")


def test_of_two_imports_of_one_date_none_is_lost(
    place: str, sigma: Sigma, write: Callable[[str, str], Path]
) -> None:
    """The second knew nothing of the first one's rows: it is refused, and joins them when it is run again."""
    one, two = write("one.csv", trades(1)), write("two.csv", trades(2))
    thread, ready, go, came = begun(place, one)
    assert ready.wait(60)
    sigma("import", two, "--symbol", "X")
    go.set()
    thread.join(60)
    assert isinstance(came[0], BadInputError)
    assert re.search(
        "local/X/trades/2024-01-01.parquet: was changed by another import meanwhile", str(came[0])
    )
    assert "1 stored" in sigma("import", one, "--symbol", "X")
    assert json.loads(sigma("list", "--output", "json"))[0]["rows"] == 2


def test_a_place_in_a_file(
    place: str, sigma: Sigma, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sigma("import", write("x.csv", trades(1)), "--symbol", "X")
    monkeypatch.delenv("SIGMA_DATA")
    monkeypatch.setenv("SIGMA_DATA_FILE", str(write("place", f"{place}\n")))
    assert "local/X/trades" in sigma("list")
    monkeypatch.setenv("SIGMA_DATA_FILE", str(write("place", "")))
    with pytest.raises(
        BadInputError, match=r"SIGMA_DATA_FILE=.*the file is empty; it must hold the catalogue's place"
    ):
        sigma("list")


@pytest.mark.parametrize(
    ("address", "kind", "told"),
    [
        ("postgresql://u:secret@127.0.0.1:1/d", UnreachableError, r"//u:\*\*\*@.*/d: cannot be reached"),
        ("postgresq://u:secret@127.0.0.1/d", BadInputError, "'postgresq' is not known; did you mean"),
    ],
)  # fmt: skip
def test_a_database_that_cannot_be_used(
    address: str, kind: type[BadInputError], told: str, monkeypatch: pytest.MonkeyPatch, sigma: Sigma
) -> None:
    monkeypatch.setenv("SIGMA_DATA", address)
    with pytest.raises(kind, match=told) as raised:
        sigma("list")
    assert str(raised.value).startswith("the catalogue: database ")
    assert "secret" not in str(raised.value)


def test_tables_of_an_older_version(
    postgres_server: servers.Postgres, monkeypatch: pytest.MonkeyPatch, sigma: Sigma
) -> None:
    """Their owner brings them up to date; who may not is told."""
    address = postgres_server.create_database()
    name = address.rpartition("/")[2]
    asyncio.run(migrate_to(address, "0003"))
    postgres_server.execute(
        f"CREATE ROLE guest_{name} LOGIN PASSWORD 'guest'",
        f"GRANT SELECT ON sigma_version TO guest_{name}",
        database=name,
    )
    monkeypatch.setenv(
        "SIGMA_DATA", f"postgresql://guest_{name}:guest@127.0.0.1:{postgres_server.port}/{name}"
    )
    with pytest.raises(StorageError, match="its tables are of version 0003 and this one needs 0005"):
        sigma("list")
    monkeypatch.setenv("SIGMA_DATA", address)
    assert "is empty" in sigma("list")


def test_reading_holds_nothing_back(
    postgres_database: str,
    postgres_server: servers.Postgres,
    sigma: Sigma,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run under way is in no transaction, and one that has read everything has no connection."""
    monkeypatch.setenv("SIGMA_DATA", postgres_database)
    sigma("import", generated(tmp_path, "ticks"), "--symbol", "X")
    query = "SELECT state FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"

    def states() -> list[str]:
        import asyncpg

        async def ask() -> list[str]:
            connection = await asyncpg.connect(postgres_server.url)
            try:
                return [row[0] for row in await connection.fetch(query, postgres_database.rpartition("/")[2])]
            finally:
                await connection.close()

        return asyncio.run(ask())

    market = open_request(Request((Wanted("X"),), source="catalogue"))
    assert states() == ["idle"]
    assert sum(len(chunk["ts"]) for chunk in market.chunks()) == ROWS
    until(lambda: states() == [])


def until(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    import time

    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
