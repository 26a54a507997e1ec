"""The catalogue in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from sigma_bot.data.catalogue_entries import Entry, Staging, parse_kind
from sigma_bot.data.readers import ParquetFile


class FolderCatalogue:
    """A folder of files."""

    def __init__(self, root: Path) -> None:
        self.root, self.shown = root, str(root)

    def entries(self) -> list[Entry]:
        """See Catalogue."""
        found = []
        for folder in sorted(self.root.glob("*/*/*")):
            shape = parse_kind(folder.name)
            if shape is not None and folder.is_dir() and any(folder.glob("*.parquet")):
                venue, symbol = unquote(folder.parent.parent.name), unquote(folder.parent.name)
                found.append(Entry(venue, symbol, *shape))
        return found

    def dates(self, entry: Entry) -> list[str]:
        """See Catalogue."""
        return sorted(file.stem for file in (self.root / entry.folder).glob("*.parquet"))

    def open(self, entry: Entry, dates: Sequence[str]) -> list[ParquetFile]:
        """See Catalogue."""
        return [ParquetFile(self.root / entry.path(date)) for date in dates]

    def rows(self, entry: Entry) -> int:
        """See Catalogue: from the files' footers."""
        return sum(file.rows for file in self.open(entry, self.dates(entry)))

    def staging(self) -> Staging:
        """See Catalogue."""
        return FolderStaging(self.root)

    def close(self) -> None:
        """Nothing is held."""


class FolderStaging(Staging):
    """For a folder: beside the places, so that moving is renaming."""

    def stored(self, entry: Entry, date: str) -> ParquetFile | None:
        """See Staging."""
        path = self._parent / entry.path(date)
        return ParquetFile(path) if path.exists() else None

    def commit(self) -> None:
        """See Staging."""
        try:
            for path, entry, _ in self.files:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                (self._parent / entry.folder).mkdir(parents=True, exist_ok=True)
            for path, entry, date in self.files:
                path.replace(self._parent / entry.path(date))
        except OSError as error:
            raise self.disk_error(error) from None
