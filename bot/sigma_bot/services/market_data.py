"""Market data that a user asks about: files, or names of the catalogue, and what was found in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sigma_bot.data.catalogue import open_catalogue
from sigma_bot.data.columns import detect
from sigma_bot.data.importing import symbols_in
from sigma_bot.data.quality import Quality
from sigma_bot.data.readers import open_file
from sigma_bot.data.series import Part
from sigma_bot.data.streams import duration
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.times import iso


@contextmanager
def stored_parts(name: str) -> Iterator[tuple[list[Part], int | None]]:
    """The files of a name of the catalogue, and the length of its bars."""
    with closing(open_catalogue()) as catalogue:
        present = {entry.name: entry for entry in catalogue.entries()}
        if name not in present:
            listed = ", ".join(present) or "nothing yet"
            raise BadInputError(
                f"{name!r} is neither a file nor a name of the catalogue {catalogue.shown}"
                f"{nearest(name, present)}; it has {listed}"
            )
        entry = present[name]
        files = catalogue.open(entry, catalogue.dates(entry))
        parts = [Part(f, detect(f.names, str(f.path), entry.kind), None, None) for f in files]
        yield parts, entry.timeframe or None


def file_parts(
    path: Path, symbol: str | None, kind: str, timezone: str | None, columns: dict[str, str]
) -> dict[str, list[Part]]:
    """By symbol, the rows of a file."""
    file = open_file(path)
    layout = detect(file.names, str(path), kind, columns)
    if symbol is not None or layout.symbol is None:
        return {symbol or path.name: [Part(file, layout, timezone, symbol)]}
    return {s: [Part(file, layout, timezone, s)] for s in symbols_in(file, layout.symbol)}


def summary(quality: Quality) -> dict[str, Any]:
    """Rows, span and prices for JSON."""
    return {
        "kind": quality.kind,
        "rows": quality.rows,
        "start": iso(quality.start),
        "end": iso(quality.end),
        "timeframe": duration(quality.timeframe) if quality.timeframe else None,
        "low": f"{quality.low!r}",
        "high": f"{quality.high!r}",
    }


def findings(quality: Quality) -> list[dict[str, Any]]:
    """What is wrong with the rows, for JSON."""
    return [{"name": f.name, "count": f.count, "first": f.first} for f in quality.findings.values()]
