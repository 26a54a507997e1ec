"""How a database's address is found, read and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.database.urls import database_url, parse_address
from sigma_bot.errors import BadInputError
from sigma_bot.redaction import redact_url


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGMA_DATABASE_URL", raising=False)
    monkeypatch.delenv("SIGMA_HOME", raising=False)


def test_the_option_comes_before_the_environment_before_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_url() == f"sqlite:///{Path.home()}/.sigma/sigma.db"
    monkeypatch.setenv("SIGMA_HOME", "/somewhere")
    assert database_url() == "sqlite:////somewhere/sigma.db"
    monkeypatch.setenv("SIGMA_DATABASE_URL", "postgresql://host/name")
    assert database_url() == "postgresql://host/name"
    assert database_url("mine.db") == "mine.db"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("/data/runs.db", "sqlite+aiosqlite:////data/runs.db"),
        ("sqlite:////data/runs.db", "sqlite+aiosqlite:////data/runs.db"),
        ("sqlite+aiosqlite:////data/runs.db", "sqlite+aiosqlite:////data/runs.db"),
        ("postgresql://u:p@h:1/n", "postgresql+asyncpg://u:p@h:1/n"),
        ("postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        ("postgresql+asyncpg://u@/n?host=/run", "postgresql+asyncpg://u@/n?host=/run"),
        ("postgresql://u@h/n?sslmode=require", "postgresql+asyncpg://u@h/n?ssl=require"),
        ("postgresql://u@h/n?a=1&sslmode=require", "postgresql+asyncpg://u@h/n?a=1&ssl=require"),
    ],
)
def test_addresses_name_the_async_driver(written: str, url: str) -> None:
    assert parse_address(written).url == url


def test_a_relative_path_is_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("runs.db").path == tmp_path / "runs.db"
    assert parse_address("sqlite:///folder/runs.db").path == tmp_path / "folder" / "runs.db"


@pytest.mark.parametrize(
    "written", ["sqlite://", "sqlite:///", ":memory:", "sqlite:///:memory:", "sqlite://?x=1"]
)
def test_a_sqlite_address_names_a_file(written: str) -> None:
    with pytest.raises(BadInputError, match="names no file; write sqlite:///FILE"):
        parse_address(written)


def test_another_scheme_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInputError, match="'postgress' is not known; did you mean 'postgres'"):
        parse_address("postgress://u:secret@h/n")
    with pytest.raises(BadInputError, match="write sqlite:///FILE or postgresql://") as raised:
        parse_address("mysql://u:secret@h/n")
    assert "secret" not in str(raised.value)


PASSWORDS = st.text(st.characters(codec="utf-8"), min_size=3).filter(
    lambda text: text not in "postgresql://user:***@host:5432/name"
)


@given(PASSWORDS)
def test_no_password_is_ever_shown(password: str) -> None:
    for url in (
        f"postgresql://user:{password}@host:5432/name",
        f"postgresql://user:{password}@host/name?ssl=require",
    ):
        found = parse_address(url)
        assert password not in found.shown
        assert password not in repr(found)
        assert found.shown.startswith("postgresql://user:***@host")


def test_a_password_in_the_query_is_hidden() -> None:
    assert (
        redact_url("postgresql://h/n?user=u&password=pw&ssl=x")
        == "postgresql://h/n?user=u&password=***&ssl=x"
    )
    assert redact_url("postgresql://u@h/n?sslpassword=pw") == "postgresql://u@h/n?sslpassword=***"
    assert redact_url("postgresql://u@h/n") == "postgresql://u@h/n"


def test_the_address_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which is then the one: a bot whose file is not there must not begin anew in another database."""
    file = tmp_path / "url"
    monkeypatch.setenv("SIGMA_DATABASE_URL_FILE", str(file))
    monkeypatch.delenv("SIGMA_DATABASE_URL", raising=False)
    with pytest.raises(BadInputError, match=f"{file}: .* cannot be read: No such file"):
        database_url()
    file.write_text("\n")
    with pytest.raises(BadInputError, match="the file is empty"):
        database_url()
    file.write_text("postgresql://bot:word@host/name\n")
    assert database_url() == "postgresql://bot:word@host/name"
    assert database_url("other.db") == "other.db"
    monkeypatch.setenv("SIGMA_DATABASE_URL", "postgresql://host/first")
    assert database_url() == "postgresql://host/first"
