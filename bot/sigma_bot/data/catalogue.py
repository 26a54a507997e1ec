"""The catalogue that ``sigma data import`` fills: Parquet files, ``venue/symbol/kind/date.parquet``, in a
folder or as rows of a database (`catalogue_database`). The files are the same in both.

Ticks, quotes, trades and bars below a minute have a file a day, minute bars a month, bars of an hour and
more a year. A kind of bars says their length: ``bars-1m``. Stamps of bars are open times. Columns are
stored as integers with a divisor in the column's metadata wherever ``integer / divisor`` gives back every
value bit for bit, else as doubles.
"""

from __future__ import annotations

import os
from pathlib import Path

from sigma_bot.data.catalogue_entries import Catalogue
from sigma_bot.data.catalogue_folder import FolderCatalogue
from sigma_bot.paths import address_in

VARIABLE, FILE_VARIABLE = "SIGMA_DATA", "SIGMA_DATA_FILE"
DEFAULT = "~/.sigma/data"


def catalogue_place() -> str:
    """A folder, or a database's address: ``SIGMA_DATA``, else what the file of ``SIGMA_DATA_FILE`` holds,
    else ``~/.sigma/data``."""
    return os.environ.get(VARIABLE) or address_in(FILE_VARIABLE, "the catalogue's place") or DEFAULT


def in_database(place: str) -> bool:
    """Whether a catalogue's place is the address of a database."""
    return "://" in place


def open_catalogue(place: str | None = None) -> Catalogue:
    """The catalogue at ``place``, else at `catalogue_place`."""
    place = place or catalogue_place()
    if not in_database(place):
        return FolderCatalogue(Path(place).expanduser())
    from sigma_bot.data.catalogue_database import DatabaseCatalogue

    return DatabaseCatalogue(place)
