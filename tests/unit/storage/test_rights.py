"""The table of rights names every table and nothing that there is not."""

from __future__ import annotations

import re

from sigma_bot.database.revision import VERSION_TABLE
from sigma_bot.schema import rights
from sigma_bot.schema.tables import metadata

OF_ROWS = {"owner"}
"""Columns that PostgreSQL alone has."""


def test_every_table_has_a_line() -> None:
    assert set(rights.RIGHTS) == {*metadata.tables, VERSION_TABLE}
    assert set(rights.SECURED) <= set(rights.RIGHTS)


def test_columns_that_are_named_are_there() -> None:
    for table, of_role in rights.RIGHTS.items():
        for verbs in of_role.values():
            for listed in re.findall(r"\((.*?)\)", " ".join(verbs)):
                known = set(metadata.tables[table].columns.keys()) | OF_ROWS
                assert set(listed.split(", ")) <= known, table


def test_a_bot_may_change_of_an_order_what_a_commit_replaces() -> None:
    update = next(verb for verb in rights.RIGHTS["orders"][rights.BOTS] if verb.startswith("UPDATE"))
    columns = set(metadata.tables["orders"].columns.keys())
    assert set(re.findall(r"\w+", update)) - {"UPDATE"} == columns - {"bot", "run", "client_id"}
