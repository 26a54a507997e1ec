"""When the rollout of a new revision is paused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sigma_operator.strategy.observe import observe, parse_readiness
from sigma_operator.strategy.revisions import RevisionHistory
from sigma_operator.strategy.rollout import drain_pause
from sigma_operator.strategy.state import BotReadiness, StrategyState
from tests.unit.operator.operator_samples import NOW, bot_pod

OLD = "aaaaaaaaaa"
RUNNING: dict[str, Any] = {"state": {"running": {}}}
UP = StrategyState("Running", "Running", "the bot trades", ready=True)
POD = bot_pod(OLD, ready=True, **RUNNING)


@pytest.fixture
def history() -> RevisionHistory:
    return (
        RevisionHistory()
        .with_revision(OLD, NOW)
        .with_verdict(OLD, UP, 0, 120)
        .with_revision("bbbbbbbbbb", NOW)
    )


@pytest.mark.parametrize(
    ("readiness", "paused"),
    [(BotReadiness("Trading"), True), (BotReadiness("Trading", flat=True), False), (None, True)],
)
def test_drain_waits_for_an_old_revision_that_holds_a_position(
    history: RevisionHistory, readiness: BotReadiness | None, paused: bool
) -> None:
    pause = drain_pause(history, [POD], observe(False, [POD], [], readiness), readiness)
    assert (pause is not None) is paused
    if pause is not None:
        assert pause.stop_old_pod is False
        assert OLD in pause.progress.message


def test_drain_does_not_wait_for_one_that_can_not_close(history: RevisionHistory) -> None:
    halted = BotReadiness("DailyLoss", "lost 3 %", halted=True)
    assert drain_pause(history, [POD], observe(False, [POD], [], halted), halted) is None
    down = bot_pod(OLD, state={"waiting": {"reason": "CrashLoopBackOff"}})
    assert drain_pause(history, [down], observe(False, [down], [], None), None) is None
    assert drain_pause(history, [], replace(UP, phase="Pending"), None) is None


@pytest.mark.parametrize(
    ("body", "flat"),
    [
        ('{"positions": {"KRW-BTC": 0}, "open_orders": 0}', True),
        ('{"positions": {"KRW-BTC": 5}, "open_orders": 0}', False),
        ('{"positions": {"KRW-BTC": 0}, "open_orders": 1}', False),
        ('{"open_orders": 0}', False),
        ('{"positions": {}}', False),
    ],
)
def test_flat_needs_positions_and_open_orders(body: str, flat: bool) -> None:
    readiness = parse_readiness(body)
    assert readiness is not None
    assert readiness.flat is flat
