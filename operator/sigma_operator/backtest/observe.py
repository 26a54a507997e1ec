"""The state of a resource's children as its status. Pure: the time is given, the children are plain
objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sigma_operator.backtest.render import BAD_INPUT, CONTAINER, INTERRUPTED, RAISED, job_name
from sigma_operator.crds.status import BacktestResult, BacktestStatus, Condition, RunProgress
from sigma_operator.kubernetes.conditions import (
    WAITING,
    Object,
    Truth,
    condition,
    holds,
    last_line,
    read_error,
)

REASONS = {
    BAD_INPUT: "BadInput",
    RAISED: "StrategyRaised",
    INTERRUPTED: "Interrupted",
    1: "RunFailed",
    137: "Killed",
}


@dataclass(frozen=True)
class Finding:
    """Where a Backtest stands, and why."""

    phase: Literal["Pending", "Running", "Suspended", "Complete", "Failed"]
    reason: str
    message: str
    result: BacktestResult | None = None
    progress: RunProgress | None = None


def finished(resource: Object) -> bool:
    """A finished Backtest stays as it is, whatever becomes of its children: its result is a fact."""
    return holds(resource, "Complete") is not None or holds(resource, "Failed") is not None


def _container_status(pod: Object) -> Object:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == CONTAINER), {})


def _terminated(pod: Object) -> Object | None:
    state = _container_status(pod).get("state", {})
    ended: Object | None = state.get("terminated")
    return ended


def _words(value: object) -> str:
    """A figure as text: floats by their shortest exact form, so that reading them back gives the same
    number."""
    return "" if value is None else str(value)


def read_result(ended: Object) -> BacktestResult | None:
    """The result in a container's termination message, or None where there is none."""
    try:
        said = json.loads(ended.get("message") or "")["result"]
        return BacktestResult(
            digest=said["digest"],
            run=said.get("run"),
            engine=said["engine"],
            events=said["events"],
            seconds={name: _words(value) for name, value in said.get("seconds", {}).items()},
            metrics={
                name: _words(value) for name, value in said.get("metrics", {}).items() if value is not None
            },
            counts=said.get("counts", {}),
            best={name: _words(value) for name, value in said.get("best", {}).items()},
        )
    except (ValueError, KeyError, TypeError):
        return None


def _failed_pod(ended: Object) -> Finding:
    code = int(ended.get("exitCode", 1))
    if ended.get("reason") == "OOMKilled":
        return Finding("Failed", "OutOfMemory", "the run needed more memory than its limit allows")
    message = read_error(ended) or f"the run ended with exit code {code}"
    return Finding("Failed", REASONS.get(code, "RunFailed"), message)


def _failed_job(job_condition: Object, pods: Iterable[Object]) -> Finding:
    """Why a Job failed: what its newest pod said, unless it was the Job's own limit."""
    if job_condition["reason"] == "DeadlineExceeded":
        return Finding("Failed", "DeadlineExceeded", "the run took longer than its deadline")
    ended = [t for pod in by_age(pods) if (t := _terminated(pod)) is not None]
    if ended:
        return _failed_pod(ended[-1])
    return Finding("Failed", job_condition["reason"], job_condition.get("message", ""))


def by_age(pods: Iterable[Object]) -> list[Object]:
    return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def _unfinished(pods: Iterable[Object]) -> Finding:
    for pod in reversed(by_age(pods)):
        state = _container_status(pod).get("state", {})
        if "running" in state or "terminated" in state:  # ended: the Job will say how in a moment
            return Finding("Running", "Running", "the backtest runs")
        waiting = state.get("waiting", {})
        if waiting.get("reason") in WAITING:
            detail = waiting.get("message", "")
            return Finding(
                "Pending", waiting["reason"], f"{WAITING[waiting['reason']]}: {detail}".rstrip(": ")
            )
        for found in pod.get("status", {}).get("conditions", []):
            if found["type"] == "PodScheduled" and found["status"] == "False":
                return Finding("Pending", "Unschedulable", f"no node has room: {found.get('message', '')}")
    return Finding("Pending", "Starting", "the backtest's pod is being started")


def find_parts(job: Object, pods: Iterable[Object]) -> Finding | None:
    """Where the parts of a sweep stand; None when all are done."""
    states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Complete" in states:
        return None
    if "Failed" in states:
        return _failed_job(states["Failed"], [pod for pod in pods if _failed(pod)])
    finding = find(job, pods)
    if finding.phase != "Running":
        return finding
    done, parts = job.get("status", {}).get("succeeded", 0), job["spec"]["completions"]
    return Finding("Running", "Running", f"{done} of {parts} parts of the sweep are done")


def _failed(pod: Object) -> bool:
    ended = _terminated(pod)
    return ended is not None and ended.get("exitCode") != 0


def find(job: Object | None, pods: Iterable[Object]) -> Finding:
    """Where a Backtest stands, from its Job and the Job's pods."""
    pods = list(pods)
    if job is None:
        return Finding("Pending", "Starting", "the backtest's Job is being made")
    states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Failed" in states:
        return _failed_job(states["Failed"], pods)
    if "Complete" not in states:
        if job.get("spec", {}).get("suspend"):
            return Finding("Suspended", "Suspended", "suspended: it runs when spec.suspend is taken back")
        return _unfinished(pods)
    for pod in reversed(by_age(pods)):
        ended = _terminated(pod)
        if ended is not None and ended.get("exitCode") == 0 and (result := read_result(ended)) is not None:
            return Finding(
                "Complete", "Finished", f"{result.events} events, digest {result.digest[:12]}", result
            )
    return Finding(
        "Failed", "ResultLost", "the run ended well but its pod is gone with the result; create it again"
    )


def addresses(pods: Iterable[Object]) -> list[str]:
    """Where the pods that run can be asked how far they are."""
    running = [pod for pod in pods if "running" in _container_status(pod).get("state", {})]
    return [address for pod in running if (address := pod["status"].get("podIP"))]


def read_progress(body: str) -> tuple[int, int] | None:
    """Rows done and rows in all, as a pod says them; None before it knows, and for what makes no sense."""
    try:
        said = json.loads(body)
        done, total = int(said["done"]), int(said["total"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return (min(done, total), total) if done >= 0 and 0 < total < 2**63 else None


def progress(job: Object, told: Sequence[tuple[int, int]]) -> RunProgress | None:
    """How far a run is by what its pods say, of which a sweep has one for each part that runs. It is never
    done before its Job says so."""
    parts = job.get("spec", {}).get("completions", 1)
    if parts > 1:
        done, total = job.get("status", {}).get("succeeded", 0), parts
        share = (done + sum(rows / of for rows, of in told)) / parts
    elif told:
        done, total = told[0]
        share = done / total
    else:
        return None
    return RunProgress(percent=min(99, int(100 * share)), done=done, total=total)


def _told(finding: Finding, before: Object) -> RunProgress | None:
    """The progress to write: what was written goes on while it says as much, so that a run does not write at
    every look."""
    if finding.phase != "Running":
        return None
    known = RunProgress(**before["progress"]) if "progress" in before else None
    now = finding.progress
    return known if now is None or (known is not None and known.percent == now.percent) else now


def report_command(resource: Object, finding: Finding) -> str | None:
    """How to fetch the report of a stored run."""
    if finding.result is None or finding.result.run is None:
        return None
    own = resource["metadata"]
    command = f"kubectl sigma -n {own['namespace']} report {own['name']}"
    return command if resource["spec"].get("sweep") else f"{command} --html {own['name']}.html"


def _condition(resource: Object, kind: str, truth: Truth, finding: Finding, now: str) -> Condition:
    """What is wrong stands in full in the condition that is true, by its last line in the others."""
    message = finding.message if truth == "True" else last_line(finding.message)
    return condition(resource, kind, truth, finding.reason, message, now)


def status_of(resource: Object, finding: Finding, job: Object | None, now: str) -> dict[str, Any]:
    """The status to write, `now` in ISO 8601 UTC. Ready is Complete by another name, the one helm waits
    for."""
    complete: Truth = "True" if finding.phase == "Complete" else "False"
    failed: Truth = "True" if finding.phase == "Failed" else "False"
    job_status = (job or {}).get("status", {})
    before = resource.get("status", {})
    ended = now if finding.phase in ("Complete", "Failed") else None
    status = BacktestStatus(
        observed_generation=resource["metadata"]["generation"],
        phase=finding.phase,
        conditions=(
            _condition(resource, "Complete", complete, finding, now),
            _condition(resource, "Failed", failed, finding, now),
            _condition(resource, "Ready", complete, finding, now),
        ),
        job=job_name(resource) if job is not None else before.get("job"),
        start_time=job_status.get("startTime") or before.get("startTime"),
        completion_time=job_status.get("completionTime") or ended,
        progress=_told(finding, before),
        result=finding.result,
        report=report_command(resource, finding),
    )
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")
