"""The catalogue of market data with the chart's roles: people import, backtests read, bots do neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sigma_bot.data.catalogue import open_catalogue
from sigma_bot.data.importing import Options, import_files
from sigma_bot.data.market import open_request
from sigma_bot.data.request import Request, Wanted
from sigma_bot.database.errors import StorageError
from sigma_bot.errors import BadInputError
from sigma_bot.schema.granting import Account, grant

TRADES = "ts,price,size,id\n1704067200,1,1,1\n1704067201,1,1,2\n"


@pytest.fixture
def imports(tmp_path: Path) -> Callable[[str], int]:
    """Import two trades as somebody; how many were stored."""
    path = tmp_path / "trades.csv"
    path.write_text(TRADES)

    def run(url: str) -> int:
        with closing(open_catalogue(url)) as catalogue:
            return import_files([path], Options(catalogue, symbol="X", replace=True), [])[0].stored

    return run


def test_people_import_and_backtests_read(
    installed: Any, imports: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imports(installed.urls["control"]) == 2
    assert imports(installed.urls["control"]) == 2, "what is stored can be replaced"
    assert imports(installed.urls["owner"]) == 2
    for role in ("backtest", "control", "reader"):
        monkeypatch.setenv("SIGMA_DATA", installed.urls[role])
        market = open_request(Request((Wanted("X"),), source="catalogue"))
        assert sum(len(chunk["ts"]) for chunk in market.chunks()) == 2


@pytest.mark.parametrize("role", ["backtest", "reader"])
def test_who_reads_is_refused_an_import_before_it_begins(
    role: str, installed: Any, imports: Callable[[str], int]
) -> None:
    told = f"the user 'sigma_{role}' may read it and not write it; import as sigma_control"
    with pytest.raises(BadInputError, match=told):
        imports(installed.urls[role])


def test_a_bot_reaches_no_market_data(installed: Any) -> None:
    url = asyncio.run(grant(installed.urls["granter"], "desk/mine", Account("desk", "sim", "upbit", "main")))
    with closing(open_catalogue(url)) as catalogue, pytest.raises(StorageError, match="may not do this"):
        catalogue.entries()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO market_files SELECT * FROM market_files",
        "UPDATE market_pieces SET content = content",
        "UPDATE market_files SET digest = digest",
        "DELETE FROM market_files",
        "DELETE FROM market_pieces",
        "TRUNCATE market_files",
    ],
)
async def test_a_backtest_changes_nothing(installed: Any, statement: str) -> None:
    connection = await asyncpg.connect(installed.urls["backtest"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
