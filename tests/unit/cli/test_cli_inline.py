"""A manifest that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sigma_bot.cli.inline import inline, render
from sigma_bot.errors import BadInputError
from sigma_bot.spec import load_manifest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "ema-cross"


@pytest.mark.parametrize("name", ["backtest.yaml", "strategy.yaml"])
def test_the_same_manifest_with_its_source(name: str, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text(render(EXAMPLE / name))
    before, after = load_manifest(EXAMPLE / name), load_manifest(target)
    assert after.spec.strategy.file is None
    assert after.spec.strategy.code == (EXAMPLE / "ema_cross.py").read_text()
    assert after.spec.strategy.params == before.spec.strategy.params
    same = {"strategy": None}
    assert after.spec.model_copy(update=same) == before.spec.model_copy(update=same)
    assert "class EmaCross(Strategy):\n" in target.read_text(), "the source can be read"


def test_a_manifest_with_source_stays_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "once.yaml"
    target.write_text(render(EXAMPLE / "strategy.yaml"))
    assert render(target) == target.read_text()


def test_other_documents_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "ema_cross.py").write_text((EXAMPLE / "ema_cross.py").read_text())
    both = tmp_path / "both.yaml"
    secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\n---\n"
    both.write_text(secret + (EXAMPLE / "strategy.yaml").read_text())
    assert render(both).startswith(secret)
    assert "class EmaCross" in render(both)


def test_what_a_cluster_would_miss_is_named(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("X = 1\n")
    code = (EXAMPLE / "ema_cross.py").read_text()
    (tmp_path / "ema_cross.py").write_text(f"import helper\n{code}")
    (tmp_path / "strategy.yaml").write_text((EXAMPLE / "strategy.yaml").read_text())
    with pytest.raises(BadInputError, match=r"imports helper\.py"):
        render(tmp_path / "strategy.yaml")


def test_a_bad_parameter_is_found_before_the_cluster_sees_it(tmp_path: Path) -> None:
    (tmp_path / "ema_cross.py").write_text((EXAMPLE / "ema_cross.py").read_text())
    manifest = (EXAMPLE / "strategy.yaml").read_text().replace("fast: 12", "fats: 12")
    (tmp_path / "strategy.yaml").write_text(manifest)
    with pytest.raises(BadInputError, match="did you mean 'fast'"):
        render(tmp_path / "strategy.yaml")


def test_the_command() -> None:
    result = CliRunner().invoke(inline, [str(EXAMPLE / "strategy.yaml")])
    assert result.exit_code == 0
    assert result.output == render(EXAMPLE / "strategy.yaml")
