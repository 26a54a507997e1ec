"""Many rows into one table at once, inside the caller's transaction: COPY on PostgreSQL, executemany on
SQLite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection

from sigma_bot.database.sqlalchemy_private import copy_in

Columns: TypeAlias = Sequence[Sequence[Any]]

CHUNK = 20_000
"""Rows turned to text at a time, so that a run of a million fills does not stand in memory twice."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert(
    connection: Connection, table: str, names: Sequence[str], run: int, chunks: Iterable[Columns]
) -> None:
    """Store chunks of columns (integers, floats, text or None; equal lengths, not empty) as rows of ``run``.

    ``names`` are the table's columns after ``run``, in the order of the columns of every chunk.
    """
    if connection.dialect.name == "postgresql":
        _copy(connection, table, names, run, chunks)
        return
    marks = ", ".join("?" * (len(names) + 1))
    listed = ", ".join(f'"{name}"' for name in ("run", *names))
    for columns in chunks:
        rows = list(zip([run] * len(columns[0]), *columns, strict=True))
        connection.exec_driver_sql(f"INSERT INTO {table} ({listed}) VALUES ({marks})", rows)


def _copy(
    connection: Connection, table: str, names: Sequence[str], run: int, chunks: Iterable[Columns]
) -> None:
    """One COPY for all chunks: the server reads one while the next is turned to text."""

    async def source() -> AsyncIterator[bytes]:
        for columns in chunks:
            yield _text(run, columns)

    copy_in(connection, table, ["run", *names], source())


def _text(run: int, columns: Columns) -> bytes:
    r"""Rows in COPY's text format: tab-separated, ``\N`` for NULL, backslash, tab and line ends escaped."""
    lines = zip([str(run)] * len(columns[0]), *map(_cells, columns), strict=True)
    return ("\n".join(map("\t".join, lines)) + "\n").encode()


def _cells(column: Sequence[Any]) -> list[str]:
    texts = list(map(str, column))
    # One look at the whole column is a hundred times cheaper than a look at each cell; hardly any needs an
    # escape.
    together = "".join(texts)
    if any(mark in together for mark in "\\\t\n\r"):
        texts = [text.translate(_ESCAPES) for text in texts]
    if None in column:
        texts = ["\\N" if value is None else text for value, text in zip(column, texts, strict=True)]
    return texts
