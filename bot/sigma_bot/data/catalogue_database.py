"""The catalogue in a database: the files that a folder would hold, as rows.

A file is read through its pieces, few at a time, so memory stays flat whatever its size, and each piece is
held to its digest. Between two looks no connection is in a transaction: a backtest of an hour keeps nobody's
rows from being cleaned up. A file that is replaced meanwhile ends the run with a word, and never mixes with
what comes after it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import sqlalchemy as sa

from sigma_bot.data.catalogue_entries import Entry, Staging, parse_kind
from sigma_bot.data.readers import ParquetFile
from sigma_bot.data.schema import market_files as files
from sigma_bot.data.schema import market_pieces as pieces
from sigma_bot.database.engine import READ, WRITE, Database
from sigma_bot.database.errors import StorageError
from sigma_bot.database.urls import DatabaseAddress, parse_address
from sigma_bot.errors import BadInputError
from sigma_bot.results import LOCK_TIMEOUT

T = TypeVar("T")
PIECE = 1 << 20
"""Bytes of a piece."""
AHEAD = 4
"""Pieces that are fetched at once."""
KEPT = 32
"""Pieces in memory."""
_ADVISORY_KEY = 0x5349474D43


@dataclass(frozen=True)
class Held:
    """A file as it stood in the database when it was looked at."""

    id: int
    date: str
    rows: int
    size: int

    @property
    def count(self) -> int:
        """Its pieces."""
        return -(-self.size // PIECE)


class DatabaseCatalogue:
    """See `catalogue.Catalogue`."""

    def __init__(self, address: str) -> None:
        try:
            self._where = parse_address(address)
        except BadInputError as error:
            raise BadInputError(f"the catalogue: {error}") from None
        self.shown = self._where.shown
        self._line = _Line(self._where)
        self._index: dict[Entry, dict[str, Held]] | None = None
        self._pieces: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """See Catalogue."""
        return sorted(self._held(), key=lambda entry: (entry.venue, entry.symbol, entry.kind_name))

    def dates(self, entry: Entry) -> list[str]:
        """See Catalogue."""
        return sorted(self._held().get(entry, {}))

    def rows(self, entry: Entry) -> int:
        """See Catalogue."""
        return sum(held.rows for held in self._held()[entry].values())

    def open(self, entry: Entry, dates: Sequence[str]) -> list[ParquetFile]:
        """See Catalogue. Their ends, by which Parquet is read, are fetched many at a time."""
        found, several = [], max(KEPT // 2, 1)
        for start in range(0, len(dates), several):
            some = [(self._held()[entry][date], entry.path(date)) for date in dates[start : start + several]]
            with self._lock:
                self._get([(held, path, held.count - 1) for held, path in some])
            for held, path in some:
                found.append(ParquetFile(path, cast(BinaryIO, _Content(self, held, path))))
        return found

    def staging(self) -> Staging:
        """See Catalogue."""
        self._line.create = True
        user = self._line.run(_who_may_not_write)
        if user is not None:
            raise BadInputError(
                f"the catalogue {self.shown}: the user {user!r} may read it and not write it; import as "
                "sigma_control, which is for people, or as the tables' owner"
            )
        return DatabaseStaging(self)

    def close(self) -> None:
        """See Catalogue."""
        self._line.close()
        self._pieces.clear()

    def held(self, entry: Entry, date: str) -> Held | None:
        """The file of a date when the catalogue was first looked at."""
        return self._held().get(entry, {}).get(date)

    def store(self, work: Callable[[sa.Connection], None]) -> None:
        """Run a writing transaction; what was known before is forgotten."""
        self._line.run(work, WRITE)
        self._index = None

    def piece(self, held: Held, path: Path, number: int) -> bytes:
        """A piece of a file. Raises BadInputError when it is damaged, or gone with its file."""
        with self._lock:
            if (held.id, number) not in self._pieces:
                self._get([(held, path, n) for n in range(number, min(number + AHEAD, held.count))])
            if (held.id, number) not in self._pieces:
                raise self._missing(held, path, number)
            self._pieces.move_to_end((held.id, number))
            return self._pieces[held.id, number]

    def _get(self, wanted: Sequence[tuple[Held, Path, int]]) -> None:
        """Bring pieces into memory, those that are there."""
        whose = {held.id: (held, path) for held, path, _ in wanted}
        keys = [(held.id, number) for held, _, number in wanted]
        for file, number, digest, content in self._line.run(lambda connection: _fetch(connection, keys)):
            self._check(*whose[file], number, digest, content)
            self._pieces[file, number] = content
        # The first ones asked for stay: what is ahead can be fetched again.
        for key in [key for key in self._pieces if key not in keys] + keys[::-1]:
            if len(self._pieces) > KEPT:
                self._pieces.pop(key, None)

    def _check(self, held: Held, path: Path, number: int, digest: str, content: bytes) -> None:
        now, size = hashlib.sha256(content).hexdigest(), min(PIECE, held.size - number * PIECE)
        if (now, len(content)) != (digest, size):
            raise BadInputError(
                f"the catalogue {self.shown}: {path}: piece {number + 1} of {held.count} is damaged: it has "
                f"{len(content):,} bytes with the sha256 {now[:12]}… and was imported with {size:,} and "
                f"{digest[:12]}…; import these dates again with --replace"
            )

    def _missing(self, held: Held, path: Path, number: int) -> BadInputError:
        query = sa.select(files.c.id).where(files.c.id == held.id)
        there = self._line.run(lambda connection: connection.execute(query).scalar() is not None)
        if there:
            return BadInputError(
                f"the catalogue {self.shown}: {path}: piece {number + 1} of {held.count} is missing; import "
                "these dates again with --replace"
            )
        return BadInputError(
            f"the catalogue {self.shown}: {path}: was replaced by another import while it was read; run again"
        )

    def _held(self) -> dict[Entry, dict[str, Held]]:
        if self._index is None:
            self._index = {}
            for venue, symbol, kind, *rest in self._line.run(_look) if self._line.there() else ():
                shape = parse_kind(kind)
                if shape is not None:
                    held = Held(*rest)
                    self._index.setdefault(Entry(venue, symbol, *shape), {})[held.date] = held
        return self._index


def _look(connection: sa.Connection) -> Sequence[Any]:
    columns = files.c
    kept = (columns.venue, columns.symbol, columns.kind, columns.id, columns.date, columns.rows, columns.size)
    return connection.execute(sa.select(*kept)).all()


def _fetch(connection: sa.Connection, keys: Sequence[tuple[int, int]]) -> Sequence[Any]:
    columns = pieces.c
    wanted = sa.tuple_(columns.file, columns.number).in_(keys)
    query = sa.select(columns.file, columns.number, columns.digest, columns.content).where(wanted)
    return connection.execute(query).all()


def _who_may_not_write(connection: sa.Connection) -> str | None:
    """The user, when it may not: better said before the work than after it."""
    if connection.dialect.name != "postgresql":
        return None
    query = sa.text("SELECT current_user, has_table_privilege('market_files', 'INSERT')")
    user, may = connection.execute(query).one()
    return None if may else str(user)


class _Content(io.RawIOBase):
    """A file of the catalogue as Arrow reads it, from whatever thread."""

    def __init__(self, catalogue: DatabaseCatalogue, held: Held, path: Path) -> None:
        super().__init__()
        self._catalogue, self._held, self._path = catalogue, held, path
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._held.size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._held.size - self._at, 0)
        end = self._at + (left if size is None or size < 0 else min(size, left))
        parts = []
        while self._at < end:
            number, offset = divmod(self._at, PIECE)
            piece = self._catalogue.piece(self._held, self._path, number)
            parts.append(piece[offset : offset + end - self._at])
            self._at += len(parts[-1])
        return b"".join(parts)


class DatabaseStaging(Staging):
    """Files are made in a temporary folder and stored in one transaction."""

    hint = "Name another folder for temporary files with TMPDIR, or make room"

    def __init__(self, catalogue: DatabaseCatalogue) -> None:
        super().__init__(Path(tempfile.gettempdir()))
        self._catalogue = catalogue
        self._joined: dict[tuple[Entry, str], int | None] = {}

    def stored(self, entry: Entry, date: str) -> ParquetFile | None:
        """See Staging."""
        held = self._catalogue.held(entry, date)
        self._joined[entry, date] = None if held is None else held.id
        return None if held is None else self._catalogue.open(entry, [date])[0]

    def commit(self) -> None:
        """See Staging. Two imports are stored one after the other; one that joined its rows with what another
        has replaced since is refused, unless both come to the same file."""
        self._catalogue.store(self._store)

    def _store(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        now = datetime.now(UTC)
        for path, entry, date in self.files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if self._makes_way(connection, entry, date, digest):
                row = {
                    "venue": entry.venue,
                    "symbol": entry.symbol,
                    "kind": entry.kind_name,
                    "date": date,
                    "rows": ParquetFile(path).rows,
                    "size": path.stat().st_size,
                    "digest": digest,
                    "imported": now,
                }
                made = connection.execute(files.insert().values(row).returning(files.c.id)).scalar_one()
                for several in _pieces_of(path, made):
                    connection.execute(pieces.insert(), several)

    def _makes_way(self, connection: sa.Connection, entry: Entry, date: str, digest: str) -> bool:
        """Take away the file that another takes the place of; whether there is anything to store."""
        named = {"venue": entry.venue, "symbol": entry.symbol, "kind": entry.kind_name, "date": date}
        query = sa.select(files.c.id, files.c.digest).filter_by(**named)
        found = connection.execute(query).one_or_none()
        if (entry, date) in self._joined:  # else it is to be replaced, whatever it is
            if found is not None and found.digest == digest:
                return False
            if self._joined[entry, date] != (None if found is None else found.id):
                raise BadInputError(
                    f"the catalogue {self._catalogue.shown}: {entry.path(date)}: was changed by another "
                    "import meanwhile; nothing was stored; run this one again"
                )
        if found is not None:
            connection.execute(files.delete().where(files.c.id == found.id))
        return True


def _pieces_of(path: Path, made: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of pieces, some at a time."""
    number = 0
    with path.open("rb") as file:
        while contents := [content for _ in range(AHEAD) if (content := file.read(PIECE))]:
            yield [
                {
                    "file": made,
                    "number": number + i,
                    "digest": hashlib.sha256(content).hexdigest(),
                    "content": content,
                }
                for i, content in enumerate(contents)
            ]
            number += len(contents)


class _Line:
    """Transactions for code that is not asynchronous, from whatever thread, one at a time."""

    def __init__(self, where: DatabaseAddress) -> None:
        self._where = where
        self.create = False
        self._thread = ThreadPoolExecutor(1, "sigma-catalogue")
        self._runner: asyncio.Runner | None = None
        self._database: Database | None = None
        self._task: asyncio.Task[Any] | None = None

    def there(self) -> bool:
        """Whether there is anything to look at: reading makes no file."""
        return self._where.path is None or self._where.path.exists()

    def run(self, work: Callable[[sa.Connection], T], begin: str = READ) -> T:
        """``work(connection)`` in a transaction of its own."""
        future = self._thread.submit(self._run, work, begin)
        try:
            with _of_the_catalogue():
                return future.result()
        except KeyboardInterrupt:
            if self._runner is not None and self._task is not None:
                self._runner.get_loop().call_soon_threadsafe(self._task.cancel)
            wait([future])  # rolled back, as the command will say
            raise

    def _run(self, work: Callable[[sa.Connection], T], begin: str) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._transaction(work, begin))

    async def _transaction(self, work: Callable[[sa.Connection], T], begin: str) -> T:
        self._task = asyncio.current_task()
        if self._database is None:
            self._database = await Database.open(
                self._where.url, create=self.create, lock_timeout=LOCK_TIMEOUT
            )
        return await self._database.run(work, begin)

    def close(self) -> None:
        """Give back the connection; the next transaction takes a new one."""
        self._thread.submit(self._close).result()

    def _close(self) -> None:
        if self._runner is not None:
            if self._database is not None:
                self._runner.run(self._database.close())
            self._runner.close()
        self._runner = self._database = self._task = None


@contextmanager
def _of_the_catalogue() -> Iterator[None]:
    """Say which of two databases it is that can't be used: the other one keeps results."""
    try:
        yield
    except StorageError as error:
        raise type(error)(f"the catalogue: {error}") from None
