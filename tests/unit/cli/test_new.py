from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sigma_bot.cli import new as command
from sigma_bot.cli.main import run
from sigma_bot.cli.new import create
from sigma_bot.errors import BadInputError
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.spec import load_manifest

FILES = ["backtest.yaml", "my_strategy.py", "strategy.yaml", "test_my_strategy.py"]


def test_the_folder_holds_a_strategy_its_manifests_and_a_test(tmp_path: Path) -> None:
    folder = create("my_strategy", tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["my_strategy"]
    for kind in ("Backtest", "Strategy"):
        manifest = load_manifest(folder / f"{kind.lower()}.yaml", kind)
        assert manifest.metadata.name == "my-strategy"
        loaded = load_strategy(manifest.spec.strategy, folder)
        assert loaded.cls.__name__ == "MyStrategy"
        assert loaded.params["fast"] == 12
        loaded.instance.on_start()
    ast.parse((folder / "test_my_strategy.py").read_text())


@pytest.mark.parametrize(
    ("name", "class_name", "object_name"),
    [("rsi2", "Rsi2", "rsi2"), ("EmaCross", "EmaCross", "emacross"), ("a_b_c", "ABC", "a-b-c")],
)
def test_names_in_three_forms(tmp_path: Path, name: str, class_name: str, object_name: str) -> None:
    manifest = load_manifest(create(name, tmp_path) / "backtest.yaml", "Backtest")
    assert manifest.metadata.name == object_name
    assert load_strategy(manifest.spec.strategy, tmp_path / name).cls.__name__ == class_name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my-strategy", "letters, digits and _, a letter first; 'my_strategy' would do"),
        ("my strategy!", "'my_strategy' would do"),
        ("2fast", "'fast' would do"),
        ("_x", "'x' would do"),
        ("x_", "'x' would do"),
        ("전략", "letters, digits and _, a letter first"),
        ("../up", "'up' would do"),
        ("", "letters, digits and _, a letter first"),
        ("x" * 53, "letters, digits and _, a letter first"),
        ("class", "it is a word of Python; try 'my_class'"),
        ("random", "a module has that name; try 'my_random'"),
        ("pydantic", "a module has that name; try 'my_pydantic'"),
        ("sigma_bot", "a module has that name; try 'my_sigma_bot'"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        create(name, tmp_path)
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BadInputError, match="exists and is left as it is"):
        create("mine", tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_the_folder_must_have_a_place(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is no folder; create it first"):
        create("mine", tmp_path / "nowhere")


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last template is missing: the three files written before it leave no trace."""
    monkeypatch.setattr(command, "FILES", {**command.FILES, "absent.txt": "absent"})
    with pytest.raises(FileNotFoundError):
        create("mine", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "my_strategy"]) == 0
    out = capsys.readouterr().out
    assert "sigma backtest my_strategy/backtest.yaml\n" in out
    assert "python -m pytest my_strategy\n" in out
    assert run(["new", "my_strategy"]) == 2
    assert "exists and is left as it is" in capsys.readouterr().err
