"""When a new revision is held back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from operator_samples import NOW, bot_pod

from sigma_operator.strategy.observe import Answer, Finding, find, read_answer
from sigma_operator.strategy.revisions import History
from sigma_operator.strategy.rollout import draining

OLD = "aaaaaaaaaa"
RUNNING = {"state": {"running": {}}}
UP = Finding("Running", "Running", "the bot trades", ready=True)
POD = bot_pod(OLD, ready=True, **RUNNING)


@pytest.fixture
def history() -> History:
    return History().take_up(OLD, NOW).judged(OLD, UP, 0, 120).take_up("bbbbbbbbbb", NOW)


@pytest.mark.parametrize(
    ("answer", "held"),
    [(Answer("Trading"), True), (Answer("Trading", flat=True), False), (None, True)],
)
def test_an_old_revision_that_trades_is_waited_for(
    history: History, answer: Answer | None, held: bool
) -> None:
    hold = draining(history, [POD], find(False, [POD], [], answer), answer)
    assert (hold is not None) is held
    if hold is not None:
        assert hold.stop is False
        assert OLD in hold.progress.message


def test_one_that_can_not_close_is_not_waited_for(history: History) -> None:
    halted = Answer("DailyLoss", "lost 3 %", halted=True)
    assert draining(history, [POD], find(False, [POD], [], halted), halted) is None
    down = bot_pod(OLD, state={"waiting": {"reason": "CrashLoopBackOff"}})
    assert draining(history, [down], find(False, [down], [], None), None) is None
    assert draining(history, [], replace(UP, phase="Pending"), None) is None


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
    answer = read_answer(body)
    assert answer is not None
    assert answer.flat is flat
