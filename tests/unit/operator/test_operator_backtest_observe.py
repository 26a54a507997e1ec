"""The state of Job and pods as a Backtest's status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sigma_operator.backtest.observe import (
    is_finished,
    observe,
    observe_shards,
    parse_progress,
    parse_result,
    run_progress,
    running_addresses,
    status_of,
)
from tests.unit.operator.operator_samples import NOW, RESULT, ended, job, pod

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
    observed = observe(job_state, pods)
    assert (observed.phase, observed.reason) == (phase, reason)
    assert observed.message


def test_the_newest_pod_counts() -> None:
    old = pod("2026-01-01T00:00:00Z", terminated=ended(3, {"error": {"code": 3, "message": "old"}}))
    new = pod("2026-01-01T00:00:09Z", terminated=ended(3, {"error": {"code": 3, "message": "new"}}))
    assert observe(job("Failed", "x"), [new, old]).message == "new"
    assert observe(job(), [old, pod("2026-01-01T00:00:09Z", running={})]).phase == "Running"


def test_no_room_on_the_node_is_said() -> None:
    waits = {
        "metadata": {"name": "ema-x", "creationTimestamp": NOW},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}]
        },
    }
    observed = observe(job(), [waits])
    assert observed.reason == "Unschedulable"
    assert "Insufficient memory" in observed.message


def test_figures_are_text_and_missing_ones_left_out() -> None:
    result = parse_result(ended(0, {"result": RESULT}))
    assert result is not None
    assert result.metrics == {"total_return": "0.5", "fees": "12.50"}
    assert result.seconds == {"run": "0.25"}


def test_a_strategy_that_raised_shows_its_line(backtest: Object) -> None:
    failed = job("Failed", "PodFailurePolicy")
    observed = observe(failed, [pod(terminated=ended(3, {"error": {"code": 3, "message": TRACE}}))])
    status = status_of(backtest, observed, failed, NOW)
    conditions = {c["type"]: c for c in status["conditions"]}
    assert conditions["Failed"]["status"] == "True"
    assert "ema.py:12" in conditions["Failed"]["message"]
    assert conditions["Ready"]["status"] == conditions["Complete"]["status"] == "False"
    assert conditions["Ready"]["message"] == "ValueError: too dear"
    assert is_finished({"status": status})


def test_a_finished_backtest_carries_its_result(backtest: Object) -> None:
    complete = job("Complete")
    status = status_of(
        backtest, observe(complete, [pod(terminated=ended(0, {"result": RESULT}))]), complete, NOW
    )
    assert status["phase"] == "Complete"
    assert status["result"]["digest"] == RESULT["digest"]
    assert status["observedGeneration"] == 1
    assert [c["status"] for c in status["conditions"]] == ["True", "False", "True"]
    assert is_finished({"status": status})


def test_time_of_transition_moves_only_when_the_status_flips(backtest: Object) -> None:
    first = status_of(backtest, observe(None, []), None, NOW)
    backtest["status"] = first
    same = status_of(backtest, observe(None, []), None, LATER)
    assert same == first
    complete = job("Complete")
    after = status_of(
        backtest, observe(complete, [pod(terminated=ended(0, {"result": RESULT}))]), complete, LATER
    )
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times == {"Complete": LATER, "Failed": NOW, "Ready": LATER}


def test_ready_is_false_from_the_first_look(backtest: Object) -> None:
    status = status_of(backtest, observe(None, []), None, NOW)
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "False"
    assert not is_finished({"status": status})


def parts(succeeded: int = 0, **state: Any) -> Object:
    out = job(**state)
    out["spec"] = {"completions": 4}
    out["status"]["succeeded"] = succeeded
    return out


def test_parts_of_a_sweep() -> None:
    running = [pod(terminated=ended(0)), pod("2026-01-02T03:04:09Z", running={})]
    observed = observe_shards(parts(3), running)
    assert observed is not None
    assert (observed.phase, observed.message) == ("Running", "3 of 4 parts of the sweep are done")
    assert observe_shards(parts(4, kind="Complete"), running) is None


def test_a_part_that_failed_says_why_though_others_went_well() -> None:
    bad = pod("2026-01-01T00:00:00Z", terminated=ended(2, {"error": {"code": 2, "message": "no parameter"}}))
    good = pod("2026-01-01T00:00:09Z", terminated=ended(0, {"part": "stored"}))
    observed = observe_shards(parts(1, kind="Failed", reason="PodFailurePolicy"), [bad, good])
    assert observed is not None
    assert (observed.phase, observed.reason, observed.message) == ("Failed", "BadInput", "no parameter")


def test_a_suspended_run_waits() -> None:
    waiting = job() | {"spec": {"suspend": True}}
    assert observe(waiting, []).phase == "Suspended"


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('{"done": 5, "total": 20}', (5, 20)),
        ('{"done": 25, "total": 20}', (20, 20)),
        ("{}", None),
        ('{"done": -1, "total": 20}', None),
        ('{"done": 1, "total": 0}', None),
        ('{"done": 1e400, "total": 2}', None),
        ('{"done": "x", "total": 2}', None),
        ("[1]", None),
        ("<html>", None),
    ],
)
def test_what_a_pod_says_of_its_progress_is_read_or_left(body: str, rows: tuple[int, int] | None) -> None:
    assert parse_progress(body) == rows


def test_progress_of_one_run_and_of_parts() -> None:
    assert run_progress(job(), []) is None
    one = run_progress(job(), [(30, 120)])
    assert one is not None
    assert one.model_dump() == {"percent": 25, "done": 30, "total": 120}
    whole = run_progress(job(), [(120, 120)])
    assert whole is not None
    assert whole.percent == 99, "done is what the Job says, not the pod"
    several = run_progress(parts(2), [(1, 2), (0, 9)])
    assert several is not None
    assert several.model_dump() == {"percent": 62, "done": 2, "total": 4}


def test_only_pods_that_run_are_asked() -> None:
    running, waiting = pod(running={}), pod(waiting={"reason": "ContainerCreating"})
    running["status"]["podIP"], waiting["status"]["podIP"] = "10.0.0.1", "10.0.0.2"
    assert running_addresses([running, waiting, pod(running={})]) == ["10.0.0.1"]


def test_progress_is_written_by_whole_per_cents_and_only_while_it_runs(backtest: Object) -> None:
    runs = observe(job(), [pod(running={})])

    def written(done: int) -> Object:
        observed = replace(runs, progress=run_progress(job(), [(done, 1000)]))
        return status_of(backtest, observed, job(), NOW)

    backtest["status"] = written(251)
    assert backtest["status"]["progress"] == {"percent": 25, "done": 251, "total": 1000}
    assert written(259) == backtest["status"], "the same per cent is not written again"
    assert status_of(backtest, runs, job(), NOW) == backtest["status"], "a pod that does not answer"
    assert written(260)["progress"]["done"] == 260
    complete = job("Complete")
    done = status_of(
        backtest, observe(complete, [pod(terminated=ended(0, {"result": RESULT}))]), complete, NOW
    )
    assert "progress" not in done


def test_a_stored_run_says_how_its_report_is_fetched(backtest: Object) -> None:
    complete = job("Complete")
    kept = [pod(terminated=ended(0, {"result": {**RESULT, "run": "r4k8z"}}))]
    status = status_of(backtest, observe(complete, kept), complete, NOW)
    assert status["result"]["run"] == "r4k8z"
    assert status["report"] == "kubectl sigma -n desk report ema --html ema.html"
    backtest["spec"]["sweep"] = {"parameters": {"fast": "1:3"}}
    assert status_of(backtest, observe(complete, kept), complete, NOW)["report"].endswith(" report ema")
    lost = [pod(terminated=ended(0, {"result": RESULT}))]
    assert "report" not in status_of(backtest, observe(complete, lost), complete, NOW)
