"""A manifest that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sigma_bot.cli.inline import inline
from sigma_bot.cli.new import create
from sigma_bot.errors import BadInputError
from sigma_bot.services.manifests import inline_source as render
from sigma_bot.spec import load_manifest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "ema-cross"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `sigma new` makes: manifests that name the strategy's file beside them."""
    return create("mine", tmp_path)


@pytest.mark.parametrize("name", ["backtest.yaml", "strategy.yaml"])
def test_the_same_manifest_with_its_source(name: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text(render(folder / name))
    before, after = load_manifest(folder / name), load_manifest(target)
    assert before.spec.strategy.file == "mine.py"
    assert after.spec.strategy.file is None
    assert after.spec.strategy.code == (folder / "mine.py").read_text()
    assert after.spec.strategy.params == before.spec.strategy.params
    same = {"strategy": None}
    assert after.spec.model_copy(update=same) == before.spec.model_copy(update=same)
    assert "class Mine(Strategy):\n" in target.read_text(), "the source can be read"


def test_the_example_holds_its_source_and_means_the_same_afterwards(tmp_path: Path) -> None:
    target = tmp_path / "once.yaml"
    target.write_text(render(EXAMPLE / "strategy.yaml"))
    assert load_manifest(target) == load_manifest(EXAMPLE / "strategy.yaml")
    assert render(target) == target.read_text(), "what is whole stays as it is"


def test_other_documents_are_passed_on(folder: Path) -> None:
    both = folder / "both.yaml"
    secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\n---\n"
    both.write_text(secret + (folder / "strategy.yaml").read_text())
    assert render(both).startswith(secret)
    assert "class Mine" in render(both)


def test_what_a_cluster_would_miss_is_named(folder: Path) -> None:
    (folder / "helper.py").write_text("X = 1\n")
    code = (folder / "mine.py").read_text()
    (folder / "mine.py").write_text(f"import helper\n{code}")
    with pytest.raises(BadInputError, match=r"imports helper\.py"):
        render(folder / "strategy.yaml")


def test_a_bad_parameter_is_found_before_the_cluster_sees_it(folder: Path) -> None:
    manifest = (folder / "strategy.yaml").read_text().replace("fast: 12", "fats: 12")
    (folder / "strategy.yaml").write_text(manifest)
    with pytest.raises(BadInputError, match="did you mean 'fast'"):
        render(folder / "strategy.yaml")


def test_the_command(folder: Path) -> None:
    result = CliRunner().invoke(inline, [str(folder / "strategy.yaml")])
    assert result.exit_code == 0
    assert result.output == render(folder / "strategy.yaml")
