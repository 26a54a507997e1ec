"""The state of a Backtest's children as its status. Pure: the time is given, the children are plain
objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sigma_operator.backtest.render import BAD_INPUT, CONTAINER, INTERRUPTED, RAISED, job_name
from sigma_operator.crds.status import BacktestResult, BacktestStatus, Condition, RunProgress
from sigma_operator.kubernetes.conditions import (
    WAITING_REASONS,
    ConditionStatus,
    condition,
    last_line,
    termination_error,
    true_condition,
)
from sigma_operator.kubernetes.objects import ObjectView

EXIT_REASONS = {
    BAD_INPUT: "BadInput",
    RAISED: "StrategyRaised",
    INTERRUPTED: "Interrupted",
    1: "RunFailed",
    137: "Killed",
}


@dataclass(frozen=True)
class BacktestState:
    """The observed state of a Backtest, and why."""

    phase: Literal["Pending", "Running", "Suspended", "Complete", "Failed"]
    reason: str
    message: str
    result: BacktestResult | None = None
    progress: RunProgress | None = None


def is_finished(resource: ObjectView) -> bool:
    """Whether the Backtest is Complete or Failed: its status is final, whatever becomes of its children."""
    return true_condition(resource, "Complete") is not None or true_condition(resource, "Failed") is not None


def _container_status(pod: ObjectView) -> ObjectView:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == CONTAINER), {})


def _terminated(pod: ObjectView) -> ObjectView | None:
    state = _container_status(pod).get("state", {})
    ended: ObjectView | None = state.get("terminated")
    return ended


def _as_text(value: object) -> str:
    """A number as text: floats by their shortest exact form, so that reading them back gives the same
    number."""
    return "" if value is None else str(value)


def parse_result(ended: ObjectView) -> BacktestResult | None:
    """The result in a container's termination message, or None where there is none."""
    try:
        payload = json.loads(ended.get("message") or "")["result"]
        return BacktestResult(
            digest=payload["digest"],
            run=payload.get("run"),
            engine=payload["engine"],
            events=payload["events"],
            seconds={name: _as_text(value) for name, value in payload.get("seconds", {}).items()},
            metrics={
                name: _as_text(value)
                for name, value in payload.get("metrics", {}).items()
                if value is not None
            },
            counts=payload.get("counts", {}),
            best={name: _as_text(value) for name, value in payload.get("best", {}).items()},
        )
    except (ValueError, KeyError, TypeError):
        return None


def _observe_failed_pod(ended: ObjectView) -> BacktestState:
    code = int(ended.get("exitCode", 1))
    if ended.get("reason") == "OOMKilled":
        return BacktestState("Failed", "OutOfMemory", "the run needed more memory than its limit allows")
    message = termination_error(ended) or f"the run ended with exit code {code}"
    return BacktestState("Failed", EXIT_REASONS.get(code, "RunFailed"), message)


def _observe_failed_job(job_condition: ObjectView, pods: Iterable[ObjectView]) -> BacktestState:
    """Why a Job failed: the error of its newest pod, unless the Job's own deadline ended it."""
    if job_condition["reason"] == "DeadlineExceeded":
        return BacktestState("Failed", "DeadlineExceeded", "the run took longer than its deadline")
    ended = [t for pod in by_creation(pods) if (t := _terminated(pod)) is not None]
    if ended:
        return _observe_failed_pod(ended[-1])
    return BacktestState("Failed", job_condition["reason"], job_condition.get("message", ""))


def by_creation(pods: Iterable[ObjectView]) -> list[ObjectView]:
    return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def _observe_active(pods: Iterable[ObjectView]) -> BacktestState:
    for pod in reversed(by_creation(pods)):
        state = _container_status(pod).get("state", {})
        if "running" in state or "terminated" in state:  # ended: the Job will say how in a moment
            return BacktestState("Running", "Running", "the backtest runs")
        waiting = state.get("waiting", {})
        if waiting.get("reason") in WAITING_REASONS:
            detail = waiting.get("message", "")
            return BacktestState(
                "Pending", waiting["reason"], f"{WAITING_REASONS[waiting['reason']]}: {detail}".rstrip(": ")
            )
        for found in pod.get("status", {}).get("conditions", []):
            if found["type"] == "PodScheduled" and found["status"] == "False":
                return BacktestState(
                    "Pending", "Unschedulable", f"no node has room: {found.get('message', '')}"
                )
    return BacktestState("Pending", "Starting", "the backtest's pod is being started")


def observe_shards(job: ObjectView, pods: Iterable[ObjectView]) -> BacktestState | None:
    """The state of a sweep from the Job of its shards; None when all are done."""
    states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Complete" in states:
        return None
    if "Failed" in states:
        return _observe_failed_job(states["Failed"], [pod for pod in pods if _has_failed(pod)])
    observed = observe(job, pods)
    if observed.phase != "Running":
        return observed
    done, shards = job.get("status", {}).get("succeeded", 0), job["spec"]["completions"]
    return BacktestState("Running", "Running", f"{done} of {shards} parts of the sweep are done")


def _has_failed(pod: ObjectView) -> bool:
    ended = _terminated(pod)
    return ended is not None and ended.get("exitCode") != 0


def observe(job: ObjectView | None, pods: Iterable[ObjectView]) -> BacktestState:
    """The state of a Backtest, from its Job and the Job's pods."""
    pods = list(pods)
    if job is None:
        return BacktestState("Pending", "Starting", "the backtest's Job is being made")
    states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Failed" in states:
        return _observe_failed_job(states["Failed"], pods)
    if "Complete" not in states:
        if job.get("spec", {}).get("suspend"):
            return BacktestState(
                "Suspended", "Suspended", "suspended: it runs when spec.suspend is taken back"
            )
        return _observe_active(pods)
    for pod in reversed(by_creation(pods)):
        ended = _terminated(pod)
        if ended is not None and ended.get("exitCode") == 0 and (result := parse_result(ended)) is not None:
            return BacktestState(
                "Complete", "Finished", f"{result.events} events, digest {result.digest[:12]}", result
            )
    return BacktestState(
        "Failed", "ResultLost", "the run ended well but its pod is gone with the result; create it again"
    )


def running_addresses(pods: Iterable[ObjectView]) -> list[str]:
    """IP addresses of the running pods, which serve their progress."""
    running = [pod for pod in pods if "running" in _container_status(pod).get("state", {})]
    return [address for pod in running if (address := pod["status"].get("podIP"))]


def parse_progress(body: str) -> tuple[int, int] | None:
    """Rows done and rows in all, as a pod serves them; None before it knows, and for what is not valid."""
    try:
        payload = json.loads(body)
        done, total = int(payload["done"]), int(payload["total"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return (min(done, total), total) if done >= 0 and 0 < total < 2**63 else None


def run_progress(job: ObjectView, reported: Sequence[tuple[int, int]]) -> RunProgress | None:
    """The progress of a run from what its pods report, of which a sweep has one for each running shard. Below
    100 % until its Job is complete."""
    shards = job.get("spec", {}).get("completions", 1)
    if shards > 1:
        done, total = job.get("status", {}).get("succeeded", 0), shards
        share = (done + sum(rows / of for rows, of in reported)) / shards
    elif reported:
        done, total = reported[0]
        share = done / total
    else:
        return None
    return RunProgress(percent=min(99, int(100 * share)), done=done, total=total)


def _progress_to_write(observed: BacktestState, before: ObjectView) -> RunProgress | None:
    """The progress to write: the one in the status as long as the per cent is the same, so that the status is
    not written at every reconcile."""
    if observed.phase != "Running":
        return None
    known = RunProgress(**before["progress"]) if "progress" in before else None
    now = observed.progress
    return known if now is None or (known is not None and known.percent == now.percent) else now


def report_command(resource: ObjectView, observed: BacktestState) -> str | None:
    """The command that fetches the report of a stored run."""
    if observed.result is None or observed.result.run is None:
        return None
    meta = resource["metadata"]
    command = f"kubectl sigma -n {meta['namespace']} report {meta['name']}"
    return command if resource["spec"].get("sweep") else f"{command} --html {meta['name']}.html"


def _condition(
    resource: ObjectView, kind: str, status: ConditionStatus, observed: BacktestState, now: str
) -> Condition:
    """A condition with the full message when it is True, else with its last line."""
    message = observed.message if status == "True" else last_line(observed.message)
    return condition(resource, kind, status, observed.reason, message, now)


def status_of(
    resource: ObjectView, observed: BacktestState, job: ObjectView | None, now: str
) -> dict[str, Any]:
    """The status to write, `now` in ISO 8601 UTC. Ready equals Complete; helm waits for Ready."""
    complete: ConditionStatus = "True" if observed.phase == "Complete" else "False"
    failed: ConditionStatus = "True" if observed.phase == "Failed" else "False"
    job_status = (job or {}).get("status", {})
    before = resource.get("status", {})
    ended = now if observed.phase in ("Complete", "Failed") else None
    status = BacktestStatus(
        observed_generation=resource["metadata"]["generation"],
        phase=observed.phase,
        conditions=(
            _condition(resource, "Complete", complete, observed, now),
            _condition(resource, "Failed", failed, observed, now),
            _condition(resource, "Ready", complete, observed, now),
        ),
        job=job_name(resource) if job is not None else before.get("job"),
        start_time=job_status.get("startTime") or before.get("startTime"),
        completion_time=job_status.get("completionTime") or ended,
        progress=_progress_to_write(observed, before),
        result=observed.result,
        report=report_command(resource, observed),
    )
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")
