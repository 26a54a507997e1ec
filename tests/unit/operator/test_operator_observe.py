"""The state of Job and pods as a Backtest's status."""

from __future__ import annotations

from typing import Any

import pytest
from operator_samples import NOW, RESULT, ended, job, pod

from sigma_operator.observe import find, find_parts, finished, read_result, status_of

Object = dict[str, Any]
LATER = "2026-01-02T03:09:00Z"
TRACE = 'error: ema.py:12 in on_bar\n    raise ValueError("too dear")\nValueError: too dear'


@pytest.mark.parametrize(
    ("job_state", "pods", "phase", "reason"),
    [
        (None, [], "Pending", "Starting"),
        (job(), [], "Pending", "Starting"),
        (job(), [pod(running={})], "Running", "Running"),
        (job(), [pod(terminated=ended(0))], "Running", "Running"),
        (job(), [pod(waiting={"reason": "ContainerCreating"})], "Pending", "Starting"),
        (job(), [pod(waiting={"reason": "ErrImagePull", "message": "no x:1"})], "Pending", "ErrImagePull"),
        (job("Complete"), [pod(terminated=ended(0, {"result": RESULT}))], "Complete", "Finished"),
        (job("Complete"), [], "Failed", "ResultLost"),
        (job("Complete"), [pod(terminated=ended(0, {"wrong": 1}))], "Failed", "ResultLost"),
        (job("Failed", "PodFailurePolicy"), [pod(terminated=ended(2))], "Failed", "BadInput"),
        (job("Failed", "PodFailurePolicy"), [pod(terminated=ended(3))], "Failed", "StrategyRaised"),
        (job("Failed", "x"), [pod(terminated=ended(137, reason="OOMKilled"))], "Failed", "OutOfMemory"),
        (job("Failed", "DeadlineExceeded"), [pod(terminated=ended(130))], "Failed", "DeadlineExceeded"),
        (job("Failed", "BackoffLimitExceeded"), [], "Failed", "BackoffLimitExceeded"),
    ],
)
def test_where_it_stands(job_state: Object | None, pods: list[Object], phase: str, reason: str) -> None:
    finding = find(job_state, pods)
    assert (finding.phase, finding.reason) == (phase, reason)
    assert finding.message


def test_the_newest_pod_counts() -> None:
    old = pod("2026-01-01T00:00:00Z", terminated=ended(3, {"error": {"code": 3, "message": "old"}}))
    new = pod("2026-01-01T00:00:09Z", terminated=ended(3, {"error": {"code": 3, "message": "new"}}))
    assert find(job("Failed", "x"), [new, old]).message == "new"
    assert find(job(), [old, pod("2026-01-01T00:00:09Z", running={})]).phase == "Running"


def test_no_room_on_the_node_is_said() -> None:
    waits = {
        "metadata": {"name": "ema-x", "creationTimestamp": NOW},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}]
        },
    }
    finding = find(job(), [waits])
    assert finding.reason == "Unschedulable"
    assert "Insufficient memory" in finding.message


def test_figures_are_text_and_missing_ones_left_out() -> None:
    result = read_result(ended(0, {"result": RESULT}))
    assert result is not None
    assert result.metrics == {"total_return": "0.5", "fees": "12.50"}
    assert result.seconds == {"run": "0.25"}


def test_a_strategy_that_raised_shows_its_line(backtest: Object) -> None:
    failed = job("Failed", "PodFailurePolicy")
    finding = find(failed, [pod(terminated=ended(3, {"error": {"code": 3, "message": TRACE}}))])
    status = status_of(backtest, finding, failed, NOW)
    conditions = {c["type"]: c for c in status["conditions"]}
    assert conditions["Failed"]["status"] == "True"
    assert "ema.py:12" in conditions["Failed"]["message"]
    assert conditions["Ready"]["status"] == conditions["Complete"]["status"] == "False"
    assert conditions["Ready"]["message"] == "ValueError: too dear"
    assert finished({"status": status})


def test_a_finished_backtest_carries_its_result(backtest: Object) -> None:
    complete = job("Complete")
    status = status_of(
        backtest, find(complete, [pod(terminated=ended(0, {"result": RESULT}))]), complete, NOW
    )
    assert status["phase"] == "Complete"
    assert status["result"]["digest"] == RESULT["digest"]
    assert status["observedGeneration"] == 1
    assert [c["status"] for c in status["conditions"]] == ["True", "False", "True"]
    assert finished({"status": status})


def test_time_of_transition_moves_only_when_the_status_flips(backtest: Object) -> None:
    first = status_of(backtest, find(None, []), None, NOW)
    backtest["status"] = first
    same = status_of(backtest, find(None, []), None, LATER)
    assert same == first
    complete = job("Complete")
    after = status_of(
        backtest, find(complete, [pod(terminated=ended(0, {"result": RESULT}))]), complete, LATER
    )
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times == {"Complete": LATER, "Failed": NOW, "Ready": LATER}


def test_ready_is_false_from_the_first_look(backtest: Object) -> None:
    status = status_of(backtest, find(None, []), None, NOW)
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "False"
    assert not finished({"status": status})


def parts(succeeded: int = 0, **state: Any) -> Object:
    out = job(**state)
    out["spec"] = {"completions": 4}
    out["status"]["succeeded"] = succeeded
    return out


def test_parts_of_a_sweep() -> None:
    running = [pod(terminated=ended(0)), pod("2026-01-02T03:04:09Z", running={})]
    finding = find_parts(parts(3), running)
    assert finding is not None
    assert (finding.phase, finding.message) == ("Running", "3 of 4 parts of the sweep are done")
    assert find_parts(parts(4, kind="Complete"), running) is None


def test_a_part_that_failed_says_why_though_others_went_well() -> None:
    bad = pod("2026-01-01T00:00:00Z", terminated=ended(2, {"error": {"code": 2, "message": "no parameter"}}))
    good = pod("2026-01-01T00:00:09Z", terminated=ended(0, {"part": "stored"}))
    finding = find_parts(parts(1, kind="Failed", reason="PodFailurePolicy"), [bad, good])
    assert finding is not None
    assert (finding.phase, finding.reason, finding.message) == ("Failed", "BadInput", "no parameter")


def test_a_suspended_run_waits() -> None:
    waiting = job() | {"spec": {"suspend": True}}
    assert find(waiting, []).phase == "Suspended"
