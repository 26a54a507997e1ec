"""``sigma status``, ``orders``, ``fills``, ``positions``, ``halt``, ``resume`` and ``flatten``."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.bus import open_bus
from sigma_bot.cli.main import run
from sigma_bot.journal import open_journal
from sigma_bot.model.messages import CONTROL
from sigma_bot.model.orders import Change, NoticeRow, State
from tests.integration.journal.journal_samples import NOW, fill, identity, order

Told = tuple[int, str, str]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGMA_REDIS_URL", raising=False)


@pytest.fixture
def filled(database: str) -> str:
    """A LIVE bot that runs and holds 0.5 BTC, and a SIM bot whose first start failed."""

    async def fill_it() -> None:
        async with await open_journal(database) as journal:
            await journal.register(identity("ema-cross"), NOW)
            lease = await journal.acquire("ema-cross", "pod-0", 600.0)
            await journal.commit(
                lease,
                Change(
                    7,
                    NOW,
                    orders=[order(1, State.FILLED, filled=Decimal("1")), order(2, State.OPEN)],
                    fills=[
                        fill("t1", quantity=Decimal("1.0"), price=Decimal("100"), fee=Decimal("0.05")),
                        fill(
                            "t2",
                            side="sell",
                            quantity=Decimal("0.5"),
                            price=Decimal("110"),
                            fee=Decimal(0),
                            realized=Decimal("4.999999999666666666666666667"),
                        ),
                    ],
                    notices=[NoticeRow("rejection", "max-position", "too much", NOW)],
                ),
            )
            await journal.register(identity("grid", mode="sim", account="paper"), NOW)

    asyncio.run(fill_it())
    return database


@pytest.fixture
def sigma(filled: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """``sigma("status")``: exit code, standard output, standard error."""

    def call(*arguments: str) -> Told:
        capsys.readouterr()
        code = run([*arguments, "--db", filled])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_status_shows_every_bot(sigma: Any) -> None:
    code, out, err = sigma("status")
    assert (code, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split()[:6] == ["bot", "mode", "venue", "account", "run", "state"]
    assert first.split() == [
        "ema-cross", "live", "upbit", "main", "1", "running", "2026-09-21", "14:13:20", "1", "pod-0",
    ]  # fmt: skip
    assert second.split() == ["grid", "sim", "upbit", "paper", "1", "never", "started", "0"]


def test_status_of_one_bot_tells_its_last_notices(sigma: Any) -> None:
    out = sigma("status", "ema-cross")[1]
    assert "rejection  max-position  too much" in out
    assert "grid" not in out
    told = json.loads(sigma("status", "ema-cross", "--output", "json")[1])
    assert told["bots"][0]["running"] is True
    assert told["bots"][0]["ts"] == "2026-09-21T14:13:20.000000000Z"
    assert told["notices"][0]["row"]["code"] == "max-position"


def test_orders(sigma: Any) -> None:
    told = json.loads(sigma("orders", "ema-cross", "--output", "json")[1])
    assert [entry["row"]["order_id"] for entry in told] == [2, 1]
    assert told[0]["row"]["quantity"] == "0.00012345"
    out = sigma("orders", "--open")[1]
    assert len(out.splitlines()) == 2
    assert "open" in out
    assert sigma("orders", "grid") == (0, "no orders\n", "")


def test_fills(sigma: Any) -> None:
    out = sigma("fills")[1]
    assert [line.split()[-2:] for line in out.splitlines()] == [
        ["realized", "trade"],
        ["5", "t2"],
        ["-0.5", "t1"],
    ]
    assert len(json.loads(sigma("fills", "--limit", "1", "--output", "json")[1])) == 1
    assert sigma("fills", "grid") == (0, "no fills\n", "")


def test_positions(sigma: Any) -> None:
    out = sigma("positions")[1]
    assert out.splitlines()[1].split() == ["ema-cross", "KRW-BTC", "0.5", "100", "5", "0.05", "KRW", "2"]
    [told] = json.loads(sigma("positions", "ema-cross", "--output", "json")[1])
    assert (told["bot"], told["quantity"], told["average"], told["cost"]) == (
        "ema-cross",
        "0.5",
        "100",
        "50.0",
    )
    assert sigma("positions", "grid") == (0, "no positions\n", "")


@pytest.mark.parametrize(
    ("arguments", "words", "state"),
    [
        (["ema-cross"], "bot 'ema-cross'", ["halted", "never started"]),
        (["--account", "paper"], "every bot of account 'paper'", ["running", "halted, never started"]),
        (["--all"], "every bot", ["halted", "halted, never started"]),
    ],
)
def test_halt_and_resume(sigma: Any, arguments: list[str], words: str, state: list[str]) -> None:
    assert sigma("halt", *arguments, "--reason", "odd fills") == (0, f"halted {words}\n", "")
    lines = sigma("status")[1].splitlines()
    assert [name in line for line, name in zip(lines[1:3], state, strict=True)] == [True, True]
    assert any(line.endswith("): odd fills") for line in lines[3:])
    code, out, _ = sigma("resume", *arguments)
    assert (code, out.startswith(f"resumed {words}")) == (0, True)
    assert "halted" not in sigma("status")[1]


def test_flatten_halts(sigma: Any) -> None:
    assert sigma("flatten", "ema-cross")[:2] == (
        0,
        "flattening bot 'ema-cross'; halted until `sigma resume`\n",
    )
    assert "flatten by" in sigma("status")[1]


@pytest.mark.parametrize("command", ["halt", "resume", "flatten"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one of a bot, --account ACCOUNT, and --all; none is given"),
        (["grid", "--all"], "more than one is given"),
        (["ema-cros"], "bot 'ema-cros' is not in the journal; did you mean 'ema-cross'?"),
        (["--account", "mian"], "no bot of it is in the journal; did you mean 'main'?"),
    ],
)
def test_whom_is_said_wrongly(sigma: Any, command: str, arguments: list[str], words: str) -> None:
    code, out, err = sigma(command, *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("command", ["status", "orders", "fills", "positions"])
def test_a_bot_that_is_not_known(sigma: Any, command: str) -> None:
    code, out, err = sigma(command, "grit")
    assert (code, out) == (2, "")
    assert "bot 'grit' is not in the journal; did you mean 'grid'?" in err


def test_no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "journal.db"
    assert run(["status", "--db", str(file)]) == 2
    assert "the file does not exist; `sigma run` makes it" in capsys.readouterr().err
    assert not file.exists()


def test_an_empty_journal(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def make() -> None:
        await (await open_journal(database)).close()

    asyncio.run(make())
    assert run(["status", "--db", database]) == 0
    assert capsys.readouterr().out == "no bots are known; `sigma run` starts one\n"


def test_the_bots_are_woken(sigma: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA_REDIS_URL", redis_url)

    async def listen() -> str:
        bus = open_bus(redis_url)
        try:
            async with bus.subscribe(CONTROL) as messages:
                code, _, err = await asyncio.to_thread(sigma, "halt", "grid")
                assert (code, err) == (0, "")
                channel, _ = await asyncio.wait_for(anext(messages), 60)
                return channel
        finally:
            await bus.close()

    assert asyncio.run(listen()) == CONTROL


def test_a_halt_is_stored_without_redis(sigma: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA_REDIS_URL", "redis://127.0.0.1:1/0")
    code, out, err = sigma("halt", "grid")
    assert (code, out) == (0, "halted bot 'grid'\n")
    assert "bots read it within a second all the same" in err
    assert "halted, never started" in sigma("status")[1]
