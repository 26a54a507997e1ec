"""When a new revision is held back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from operator_samples import NOW, bot_pod

from sigma_operator.strategy.observe import BotReadiness, StrategyState, observe, parse_readiness
from sigma_operator.strategy.revisions import RevisionHistory
from sigma_operator.strategy.rollout import drain_pause

OLD = "aaaaaaaaaa"
RUNNING = {"state": {"running": {}}}
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
    ("answer", "held"),
    [(BotReadiness("Trading"), True), (BotReadiness("Trading", flat=True), False), (None, True)],
)
def test_an_old_revision_that_trades_is_waited_for(
    history: RevisionHistory, answer: BotReadiness | None, held: bool
) -> None:
    hold = drain_pause(history, [POD], observe(False, [POD], [], answer), answer)
    assert (hold is not None) is held
    if hold is not None:
        assert hold.stop_old_pod is False
        assert OLD in hold.progress.message


def test_one_that_can_not_close_is_not_waited_for(history: RevisionHistory) -> None:
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
def test_flat_is_what_the_bot_counts(body: str, flat: bool) -> None:
    answer = parse_readiness(body)
    assert answer is not None
    assert answer.flat is flat
