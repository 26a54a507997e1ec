"""What a catalogue holds: one entry for each venue, symbol and kind, and a file a day, month or year."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import quote

import numpy as np

from sigma_bot.data.columns import KINDS
from sigma_bot.data.parquet import write_rows
from sigma_bot.data.readers import ParquetFile
from sigma_bot.data.rules import Columns
from sigma_bot.data.streams import UNIT_NAMES, duration
from sigma_bot.errors import BadInputError
from sigma_bot.times import HOUR, MINUTE


@dataclass(frozen=True)
class Entry:
    """One symbol's rows of one kind. ``timeframe`` is 0 but for bars."""

    venue: str
    symbol: str
    kind: str
    timeframe: int = 0

    @property
    def name(self) -> str:
        """``venue/symbol/kind``, as the commands take it."""
        return f"{self.venue}/{self.symbol}/{self.kind_name}"

    @property
    def kind_name(self) -> str:
        """``ticks``, or ``bars-1m``."""
        return f"bars-{duration(self.timeframe)}" if self.kind == "bars" else self.kind

    @property
    def unit(self) -> str:
        """What a file holds: a day, a month or a year (``D``, ``M``, ``Y``)."""
        if self.kind != "bars" or self.timeframe < MINUTE:
            return "D"
        return "M" if self.timeframe < HOUR else "Y"

    def dates(self, ts: np.ndarray) -> np.ndarray:
        """The file each time belongs to."""
        return ts.astype("datetime64[ns]").astype(f"datetime64[{self.unit}]")

    def picked(self, dates: Sequence[str], start: int | None, end: int | None) -> list[str]:
        """Those of the sorted ``dates`` that may hold rows of ``start <= ts < end``."""
        low = str(self.dates(np.array([start]))[0]) if start is not None else ""
        high = str(self.dates(np.array([end - 1]))[0]) if end is not None else "~"
        # Nothing inside: the reader says what there is, and for that it needs the nearest file.
        return [date for date in dates if low <= date <= high] or list(dates[-1:])

    @property
    def folder(self) -> Path:
        """Where its files are, below the catalogue."""
        return Path(safe(self.venue), safe(self.symbol), self.kind_name)

    def path(self, date: str) -> Path:
        """The file of a day, month or year, below the catalogue."""
        return self.folder / f"{date}.parquet"


def safe(name: str) -> str:
    """A symbol or venue as a folder's name: ``BTC/USDT`` is ``BTC%2FUSDT``. Reversible."""
    if not name or name in (".", ".."):
        raise BadInputError(f"{name!r} cannot name a folder; use letters and digits")
    return quote(name, safe=" +@=,()-")


def parse_kind(name: str) -> tuple[str, int] | None:
    """Kind and timeframe of a kind's name; None when it is no name of ours."""
    if name in KINDS and name != "bars":
        return name, 0
    head, _, length = name.partition("-")
    unit = next((ns for ns, letter in UNIT_NAMES if length[-1:] == letter), None)
    if head != "bars" or unit is None or not length[:-1].isdigit():
        return None
    return "bars", int(length[:-1]) * unit


class Catalogue(Protocol):
    """Where imported data are kept. What fails raises BadInputError that names the place."""

    shown: str

    def entries(self) -> list[Entry]:
        """Everything in it, by name."""

    def dates(self, entry: Entry) -> list[str]:
        """The days, months or years it has of an entry, in order."""

    def open(self, entry: Entry, dates: Sequence[str]) -> list[ParquetFile]:
        """Its files of these dates."""

    def rows(self, entry: Entry) -> int:
        """How many rows it has of an entry."""

    def staging(self) -> Staging:
        """For an import."""

    def close(self) -> None:
        """Give back what reading holds. It may be read again."""


class Staging(ABC):
    """Files written apart and moved to their places together, so that a failure leaves nothing
    half-written."""

    hint = "Choose another folder with --to, or make room"

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.files: list[tuple[Path, Entry, str]] = []
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=".import-", dir=parent))
        except OSError as error:
            raise self.disk_error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, entry: Entry, date: str, columns: Columns, tag: Mapping[str, str]) -> None:
        """Write what will become the file of an entry's date."""
        path = self.folder / f"{len(self.files)}.parquet"
        try:
            write_rows(path, columns, tag)
        except OSError as error:
            raise self.disk_error(error) from None
        self.files.append((path, entry, date))

    @abstractmethod
    def stored(self, entry: Entry, date: str) -> ParquetFile | None:
        """What the catalogue has of the date already, to be joined."""

    @abstractmethod
    def commit(self) -> None:
        """Put every file in its place, or none."""

    def disk_error(self, error: OSError) -> BadInputError:
        """A full or read-only disk in plain words."""
        why = error.strerror or ("no space left" if "requested and" in str(error) else str(error))
        return BadInputError(f"{self._parent}: cannot be written: {why}; nothing was changed. {self.hint}")
