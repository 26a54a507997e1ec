"""The login of an account: its name, its password, its address."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.schema.granting import Account, address_of, verifier, write


def test_an_account_is_its_namespace_mode_venue_and_name() -> None:
    """Words that could be cut in another place are another account."""
    accounts = [
        Account("desk", "live", "upbit", "main"),
        Account("desk", "sim", "upbit", "main"),
        Account("desk2", "live", "upbit", "main"),
        Account("desk", "live", "binance", "main"),
        Account("desk", "live", "upbit", "mai"),
        Account("desk", "live", "upbitmain", ""),
    ]
    roles = {account.role for account in accounts}
    assert len(roles) == len(accounts)
    assert all(len(role) < 64 and role.startswith("sigma_account_") for role in roles)


def test_the_address_is_the_granters_with_another_login() -> None:
    url = "postgresql://sigma_granter:p%40ss@db.sigma.svc:5432/sigma?sslmode=require"
    told = address_of(url, "sigma_account_1")
    assert told.startswith("postgresql://sigma_account_1:")
    assert told.endswith("@db.sigma.svc:5432/sigma?sslmode=require")
    assert "p%40ss" not in told
    assert told == address_of(url, "sigma_account_1")
    word = told.split(":")[2]
    assert word not in address_of(url, "sigma_account_2")
    assert word not in address_of(url.replace("p%40ss", "other"), "sigma_account_1")


def test_a_granter_needs_a_password() -> None:
    with pytest.raises(BadInputError, match="holds no password"):
        address_of("postgresql://sigma_granter@host/sigma", "sigma_account_1")


def test_the_server_is_told_a_verifier() -> None:
    """Password and salt of RFC 7677; its signature of the server follows from the last of these."""
    assert verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_an_address_is_for_its_owners_eyes(tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    for word in ("first", "second"):
        write(file, word)
        assert file.read_text() == word
        assert file.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["database-url"]
