"""The container's entry point: MODE decides, codes are those of sigma."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sigma_bot.app import main

EXAMPLE = Path(__file__).parents[3] / "examples" / "ema-cross" / "backtest.yaml"


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    told = capsys.readouterr()
    return end.value.code, told.out, told.err  # type: ignore[return-value]


def test_backtest(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MODE", "backtest")
    code, out, _ = run(capsys, "--config", str(EXAMPLE), "--db", f"sqlite:///{tmp_path}/runs.db")
    assert code == 0
    assert json.loads(out)["events"] == 2148
    assert (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("sim", "kind: Strategy is needed here"),
        ("live", "kind: Strategy is needed here"),
        ("", "must be one of backtest, sim, live, got ''"),
        ("backtset", "did you mean 'backtest'?"),
    ],
)
def test_other_modes(capsys, monkeypatch, mode, words):
    monkeypatch.setenv("MODE", mode)
    code, out, err = run(capsys, "--config", str(EXAMPLE))
    assert (code, out) == (2, "")
    assert words in err
