"""A canary: what the database room takes from SQLAlchemy without its being promised is as it takes it."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.util import await_only, greenlet_spawn

from sigma_bot.database.sqlalchemy_private import run_sync

ROOM = Path(__file__).parents[3] / "bot" / "sigma_bot"


async def test_what_runs_within_waits_for_coroutines() -> None:
    def work() -> str:
        answer: str = await_only(asyncio.sleep(0, "waited"))
        return answer

    assert await run_sync(work) == "waited"
    assert inspect.iscoroutinefunction(greenlet_spawn)


async def test_an_asynchronous_driver_is_used_within(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite+aiosqlite:///{tmp_path / 'some.db'}")

    def work() -> object:
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection is not None
            return connection.exec_driver_sql("SELECT 1").scalar()

    assert await run_sync(work) == 1
    await run_sync(engine.dispose)


def test_the_driver_is_reached_for_a_copy() -> None:
    assert list(inspect.signature(AsyncAdapt_asyncpg_connection.run_async).parameters) == ["self", "fn"]


def test_one_file_knows_them() -> None:
    words = ("greenlet_spawn", "run_async", "await_only", "dbapi_connection")
    users = [p.name for p in ROOM.rglob("*.py") if any(word in p.read_text() for word in words)]
    assert users == ["sqlalchemy_private.py"]
