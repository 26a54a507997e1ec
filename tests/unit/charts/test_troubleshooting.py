"""Every reason that the operator gives stands in docs/troubleshooting.md."""

from __future__ import annotations

import ast
from pathlib import Path

from sigma_operator.backtest import observe as backtest_observe
from sigma_operator.strategy import observe as strategy_observe

ROOT = Path(__file__).resolve().parents[3]


def reasons(path: str, called: str) -> set[str]:
    """The second argument of every call of that name in a module, where it is a plain word."""
    tree = ast.parse((ROOT / path).read_text())
    found = {
        str(call.args[1].value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == called
        and isinstance(call.args[1], ast.Constant)
    }
    assert found, f"{path} calls no {called}"
    return found


def explained(heading: str) -> str:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_reason_of_a_strategy_is_explained() -> None:
    given = (
        reasons("operator/sigma_operator/strategy/observe.py", "StrategyState")
        | reasons("bot/sigma_bot/trading/runner.py", "Readiness")
        | set(strategy_observe.EXIT_REASONS.values())
        | set(backtest_observe.WAITING_REASONS)  # type: ignore[attr-defined]
    )
    assert len(given) > 10
    text = explained("A Strategy by its reason")
    assert sorted(word for word in given if f"`{word}`" not in text) == []


def test_every_reason_of_a_backtest_is_explained() -> None:
    given = reasons("operator/sigma_operator/backtest/observe.py", "BacktestState")
    given |= set(backtest_observe.EXIT_REASONS.values())
    assert len(given) > 5
    both = explained("A Backtest by its reason") + explained("A Strategy by its reason")
    assert sorted(word for word in given if f"`{word}`" not in both) == []
