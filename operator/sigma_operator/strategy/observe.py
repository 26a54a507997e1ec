"""The state of a Strategy's bot as its status. Pure: the time is given, pods and events are plain objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sigma_operator.crds.status import Halt, StrategyStatus
from sigma_operator.kubernetes.conditions import (
    WAITING_REASONS,
    ConditionStatus,
    condition,
    condition_of,
    termination_error,
)
from sigma_operator.kubernetes.objects import ObjectView
from sigma_operator.settings import REVISION_LABEL
from sigma_operator.strategy.render import CONTAINER, LOGIN
from sigma_operator.strategy.revisions import RevisionHistory, RolloutProgress
from sigma_operator.strategy.state import BotReadiness, StrategyState

BAD_INPUT, RAISED, LEASE_HELD = 2, 3, 4  # exit codes of `sigma-app`
PERMANENT_EXIT_CODES = (BAD_INPUT, RAISED)  # the same revision would end the same way
EXIT_REASONS = {
    BAD_INPUT: "BadInput",
    RAISED: "StrategyRaised",
    1: "BotFailed",
}
WARMUP_REASONS = ("CatchingUp", "WarmingUp")  # reasons of a bot that is ready and sends no order so far
EXTERNAL_EXIT_CODES = (0, 137, 143)  # ended by a signal, or stopped: not the strategy's fault


def _is_flat(payload: Mapping[str, Any]) -> bool:
    """Whether no position is held and no order is open; False where the bot does not report both."""
    held, orders = payload.get("positions"), payload.get("open_orders")
    return isinstance(held, dict) and not any(held.values()) and orders == 0


def parse_readiness(body: str) -> BotReadiness | None:
    """The readiness in a bot's response, or None where it is not one."""
    try:
        payload = json.loads(body)
        return BotReadiness(
            str(payload.get("reason") or ""),
            str(payload.get("message") or ""),
            payload.get("halted") is True,
            str(payload.get("since") or ""),
            _is_flat(payload),
        )
    except (ValueError, AttributeError):
        return None


def revision_of(pod: ObjectView) -> str:
    """The revision that a pod runs."""
    found: str = pod["metadata"].get("labels", {}).get(REVISION_LABEL, "")
    return found


def is_terminating(pod: ObjectView) -> bool:
    """Whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def container_status(pod: ObjectView) -> ObjectView:
    """The status of the bot's container."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == CONTAINER), {})


def has_run(pod: ObjectView) -> bool:
    """Whether the bot's container ever ran in this pod."""
    status = container_status(pod)
    states = (status.get("state", {}), status.get("lastState", {}))
    return bool(status.get("restartCount")) or any("terminated" in s or "running" in s for s in states)


def _is_ready(pod: ObjectView) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _observe_terminated(pod: ObjectView, ended: ObjectView) -> StrategyState:
    """Why the bot is not running, from its last termination."""
    code = int(ended.get("exitCode", 1))
    if ended.get("reason") == "OOMKilled":
        text = "the bot needed more memory than its limit allows; raise spec.bot.memory"
        return StrategyState("Failed", "OutOfMemory", text, pod=pod)
    if code in EXTERNAL_EXIT_CODES:
        return StrategyState(
            "Starting", "Restarting", "the bot was ended from outside and starts again", pod=pod
        )
    message = termination_error(ended) or f"the bot ended with exit code {code}"
    if code == LEASE_HELD:
        return StrategyState("Starting", "LeaseHeld", message, pod=pod)
    return StrategyState(
        "Failed",
        EXIT_REASONS.get(code, "BotFailed"),
        message,
        permanent=code in PERMANENT_EXIT_CODES,
        pod=pod,
    )


def _mount_error(pod: ObjectView, events: Iterable[ObjectView]) -> str:
    """The kubelet's Event of a volume it can't mount, if the pod waits for it. Once the pod has a sandbox all
    are mounted, maybe after a retry, so older Events no longer count."""
    conditions = pod.get("status", {}).get("conditions", [])
    if any(c["type"] == "PodReadyToStartContainers" and c["status"] == "True" for c in conditions):
        return ""
    own_events = [e for e in events if e.get("involvedObject", {}).get("uid") == pod["metadata"].get("uid")]
    mount_failures = [str(e.get("message", "")) for e in own_events if e.get("reason") == "FailedMount"]
    return mount_failures[-1].rpartition("MountVolume.SetUp failed for volume ")[2] if mount_failures else ""


def _observe_waiting(pod: ObjectView, waiting: ObjectView, events: Iterable[ObjectView]) -> StrategyState:
    for found in pod.get("status", {}).get("conditions", []):
        if found["type"] == "PodScheduled" and found["status"] == "False":
            text = f"no node has room: {found.get('message', '')}"
            return StrategyState("Pending", "Unschedulable", text, pod=pod)
    reason, detail = waiting.get("reason", ""), str(waiting.get("message", ""))
    if reason == "CreateContainerConfigError" and "secret" in detail:
        return StrategyState("Pending", "SecretMissing", f"a Secret is missing: {detail}", pod=pod)
    if reason in WAITING_REASONS:
        return StrategyState("Pending", reason, f"{WAITING_REASONS[reason]}: {detail}".rstrip(": "), pod=pod)
    if unmounted := _mount_error(pod, events):
        known = "secret" in unmounted and "not found" in unmounted
        word = "SecretMissing" if known else "VolumeMissing"
        return StrategyState("Pending", word, f"the pod waits for a volume: {unmounted}", pod=pod)
    return StrategyState("Starting", "Starting", "the bot's container is being started", pod=pod)


def _pending_login(pod: ObjectView) -> ObjectView:
    """The status of the init container that creates the login; empty once it is done."""
    statuses = pod.get("status", {}).get("initContainerStatuses", [])
    found: ObjectView = next((s for s in statuses if s["name"] == LOGIN), {})
    done = found.get("state", {}).get("terminated", {}).get("exitCode") == 0
    return {} if done else found


def _observe_login(pod: ObjectView, status: ObjectView, events: Iterable[ObjectView]) -> StrategyState:
    state = status.get("state", {})
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated")
    if ended is None:
        return _observe_waiting(pod, state.get("waiting", {}), events)
    text = f"the account got no login in the database: {termination_error(ended)}"
    return StrategyState("Pending", "NoLogin", text, pod=pod)


def _trading(pod: ObjectView, readiness: BotReadiness | None) -> StrategyState:
    if readiness is not None and readiness.reason in WARMUP_REASONS:
        return StrategyState(
            "Running", readiness.reason, readiness.message, ready=True, pod=pod, readiness=readiness
        )
    if readiness is None or not readiness.halted:
        return StrategyState("Running", "Running", "the bot trades", ready=True, pod=pod)
    # A bot that is halted is not ready, whether or not the kubelet has probed it since: it decides nothing.
    text = readiness.message or "halted: no new order is sent until it is resumed"
    halt = Halt(reason=(readiness.reason or "Halted")[:64], message=text[:1024], time=readiness.since[:32])
    return StrategyState("Halted", halt.reason, text, halt=halt, pod=pod)


def _observe_running(pod: ObjectView, readiness: BotReadiness | None) -> StrategyState:
    reason, text = "Starting", "the bot runs and is not ready yet"
    if readiness is not None and readiness.reason:
        reason, text = readiness.reason, readiness.message or text
    return StrategyState("Starting", reason, text, pod=pod, readiness=readiness)


def observe_pod(
    pod: ObjectView, events: Iterable[ObjectView], readiness: BotReadiness | None
) -> StrategyState:
    """The state of a Strategy from its pod."""
    if is_terminating(pod):
        return StrategyState(
            "Starting", "Stopping", "the bot is ending; the next one starts after it", pod=pod
        )
    status = container_status(pod)
    state, last = status.get("state", {}), status.get("lastState", {}).get("terminated")
    ended = state.get("terminated") or last
    if _is_ready(pod) or (readiness is not None and readiness.halted):
        return _trading(pod, readiness)
    if before := _pending_login(pod):
        return _observe_login(pod, before, events)
    if ended is not None:
        return _observe_terminated(pod, ended)
    if "running" in state:
        return _observe_running(pod, readiness)
    return _observe_waiting(pod, state.get("waiting", {}), events)


def observe(
    suspended: bool, pods: Iterable[ObjectView], events: Iterable[ObjectView], readiness: BotReadiness | None
) -> StrategyState:
    """The state of a Strategy, from its pods. A StatefulSet of one replica has one at most."""
    pod = next(iter(pods), None)
    if suspended:
        if pod is None:
            return StrategyState("Suspended", "Suspended", "suspended: no bot runs")
        return StrategyState("Running", "Stopping", "to be suspended: the bot is ending", pod=pod)
    if pod is None:
        return StrategyState("Pending", "Starting", "the bot's pod is being made")
    return observe_pod(pod, events, readiness)


def needs_events(pods: Iterable[ObjectView]) -> bool:
    """Whether a pod waits for something that only Events show: a scheduled pod without a container."""
    return any(
        not is_terminating(pod)
        and pod.get("spec", {}).get("nodeName")
        and "running" not in container_status(pod).get("state", {})
        for pod in pods
    )


# --- status -------------------------------------------------------------------------------------------------


def condition_status(value: bool) -> ConditionStatus:
    return "True" if value else "False"


def status_of(
    resource: ObjectView,
    observed: StrategyState,
    history: RevisionHistory,
    now: str,
    running: Mapping[str, Any],
    progress: RolloutProgress,
) -> dict[str, Any]:
    """The status to write, `now` in ISO 8601 UTC. `running` are mode and code digest of what runs."""
    before = resource.get("status", {})
    halt = observed.halt
    if halt is not None and not halt.time:
        known = before.get("lastHalt", {})
        went_on = known.get("reason") == halt.reason and before.get("phase") == "Halted"
        halt = halt.model_copy(update={"time": known["time"] if went_on else now})
    ready = condition_of(resource, "Ready") or {}
    message = observed.message
    if observed.readiness is not None and ready.get("reason") == observed.reason:
        message = ready["message"]  # the bot's message may hold figures that always change
    status = StrategyStatus(
        observed_generation=resource["metadata"]["generation"],
        phase=observed.phase,
        since=before["since"] if before.get("phase") == observed.phase else now,
        conditions=(
            condition(resource, "Ready", condition_status(observed.ready), observed.reason, message, now),
            condition(
                resource,
                "Progressing",
                condition_status(progress.active),
                progress.reason,
                progress.message,
                now,
            ),
            condition(
                resource,
                "Halted",
                condition_status(halt is not None),
                halt.reason if halt else "NotHalted",
                halt.message if halt else "orders may be sent",
                now,
            ),
        ),
        revision=revision_of(observed.pod) or None if observed.pod is not None else None,
        image=container_status(observed.pod).get("image") if observed.pod is not None else None,
        last_halt=halt or before.get("lastHalt"),
        revisions=history.entries,
        **running,
    )
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")
