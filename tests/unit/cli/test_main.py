from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import click
import pytest

from sigma_bot.cli import main as cli
from sigma_bot.errors import BadInputError, StrategyError


def command(monkeypatch: pytest.MonkeyPatch, raises: Exception | type[BaseException] | None = None) -> None:
    """Stand a command ``backtest`` in that raises."""

    @click.command("backtest")
    def backtest() -> None:
        if raises is not None:
            raise raises

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: backtest)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (BadInputError("a.yaml:3: spec.x: wrong"), 2, "error: a.yaml:3: spec.x: wrong\n"),
        (StrategyError("s.py:9: it broke"), 3, "error: s.py:9: it broke\n"),
        (KeyboardInterrupt, 130, "interrupted; nothing was stored\n"),
        (
            OSError(28, "No space left on device", "report.html"),
            1,
            "error: No space left on device: report.html\n",
        ),
        (click.UsageError("no"), 2, "Error: no\n"),
    ],
)
def test_errors_become_messages_and_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Any, code: int, says: str
) -> None:
    command(monkeypatch, error)
    assert cli.run(["backtest"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(says)
    assert "Traceback" not in err


def test_success_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch)
    assert cli.run(["backtest"]) == 0


def test_a_fault_of_ours_keeps_its_traceback_and_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, RuntimeError("broken"))
    with pytest.raises(RuntimeError) as caught:
        cli.run(["backtest"])
    assert "fault of SIGMA-X" in caught.value.__notes__[0]


def test_debugging_keeps_every_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, BadInputError("x"))
    monkeypatch.setenv("SIGMA_DEBUG", "1")
    with pytest.raises(BadInputError):
        cli.run(["backtest"])


def test_a_misspelt_command_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["backtset"]) == 2
    assert "there is no command 'backtset'; did you mean 'backtest'?" in capsys.readouterr().err


def test_an_unknown_option_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--colour"]) == 2
    assert "--colour" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sigma 0.")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    done = python(
        "import sys; from sigma_bot.cli.main import run; run(['--help'])\n"
        "heavy = {'numpy', 'numba', 'pandas', 'pyarrow', 'pydantic', 'sqlalchemy', 'yaml', 'rich'}\n"
        "print('heavy:', sorted(heavy & sys.modules.keys()))"
    )
    assert "heavy: []" in done.stdout
    for name in cli.COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_a_reader_that_goes_away_is_met_with_silence() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m sigma_bot.cli.main --help | true"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert done.stderr == ""
