"""The state of a Strategy's bot as its status. Pure: the time is given, pods and events are plain objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sigma_operator.crds.status import Halt, StrategyStatus
from sigma_operator.kubernetes.conditions import WAITING, Object, Truth, condition, condition_of, read_error
from sigma_operator.settings import REVISION_LABEL
from sigma_operator.strategy.findings import Answer, Finding
from sigma_operator.strategy.render import CONTAINER, LOGIN
from sigma_operator.strategy.revisions import History, Progress

BAD_INPUT, RAISED, LEASE_HELD = 2, 3, 4  # exit codes of `sigma-app`
FINAL = (BAD_INPUT, RAISED)  # the same content would end the same way
ENDS = {
    BAD_INPUT: "BadInput",
    RAISED: "StrategyRaised",
    1: "BotFailed",
}
NOT_YET = ("CatchingUp", "WarmingUp")  # what a bot says that is ready and sends no order so far
OUTSIDE = (0, 137, 143)  # ended by a signal, or as asked: not the strategy's doing


def _flat(said: Mapping[str, Any]) -> bool:
    """Nothing held and nothing open, by what the bot counts; what it does not count is no proof."""
    held, orders = said.get("positions"), said.get("open_orders")
    return isinstance(held, dict) and not any(held.values()) and orders == 0


def read_answer(body: str) -> Answer | None:
    """The bot's answer, or None where it is not one."""
    try:
        said = json.loads(body)
        return Answer(
            str(said.get("reason") or ""),
            str(said.get("message") or ""),
            said.get("halted") is True,
            str(said.get("since") or ""),
            _flat(said),
        )
    except (ValueError, AttributeError):
        return None


def revision_of(pod: Object) -> str:
    """The revision that a pod runs."""
    found: str = pod["metadata"].get("labels", {}).get(REVISION_LABEL, "")
    return found


def leaving(pod: Object) -> bool:
    """Whether the pod has been told to end."""
    return "deletionTimestamp" in pod["metadata"]


def container_status(pod: Object) -> Object:
    """The kubelet's word on the bot's container."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == CONTAINER), {})


def has_run(pod: Object) -> bool:
    """Whether the bot's container was ever up in this pod."""
    status = container_status(pod)
    states = (status.get("state", {}), status.get("lastState", {}))
    return bool(status.get("restartCount")) or any("terminated" in s or "running" in s for s in states)


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _ended(pod: Object, ended: Object) -> Finding:
    """Why the bot is not up, from its last end."""
    code = int(ended.get("exitCode", 1))
    if ended.get("reason") == "OOMKilled":
        text = "the bot needed more memory than its limit allows; raise spec.bot.memory"
        return Finding("Failed", "OutOfMemory", text, pod=pod)
    if code in OUTSIDE:
        return Finding("Starting", "Restarting", "the bot was ended from outside and starts again", pod=pod)
    message = read_error(ended) or f"the bot ended with exit code {code}"
    if code == LEASE_HELD:
        return Finding("Starting", "LeaseHeld", message, pod=pod)
    return Finding("Failed", ENDS.get(code, "BotFailed"), message, final=code in FINAL, pod=pod)


def _secret_missing(pod: Object, events: Iterable[Object]) -> str:
    """What the kubelet said of a volume it can't mount, if that is what the pod waits for. Once there is a
    sandbox all are mounted, at a second try maybe: what was said of the first is past."""
    conditions = pod.get("status", {}).get("conditions", [])
    if any(c["type"] == "PodReadyToStartContainers" and c["status"] == "True" for c in conditions):
        return ""
    own = [e for e in events if e.get("involvedObject", {}).get("uid") == pod["metadata"].get("uid")]
    told = [str(e.get("message", "")) for e in own if e.get("reason") == "FailedMount"]
    return told[-1].rpartition("MountVolume.SetUp failed for volume ")[2] if told else ""


def _waiting(pod: Object, waiting: Object, events: Iterable[Object]) -> Finding:
    for found in pod.get("status", {}).get("conditions", []):
        if found["type"] == "PodScheduled" and found["status"] == "False":
            text = f"no node has room: {found.get('message', '')}"
            return Finding("Pending", "Unschedulable", text, pod=pod)
    reason, detail = waiting.get("reason", ""), str(waiting.get("message", ""))
    if reason == "CreateContainerConfigError" and "secret" in detail:
        return Finding("Pending", "SecretMissing", f"a Secret is missing: {detail}", pod=pod)
    if reason in WAITING:
        return Finding("Pending", reason, f"{WAITING[reason]}: {detail}".rstrip(": "), pod=pod)
    if unmounted := _secret_missing(pod, events):
        known = "secret" in unmounted and "not found" in unmounted
        word = "SecretMissing" if known else "VolumeMissing"
        return Finding("Pending", word, f"the pod waits for a volume: {unmounted}", pod=pod)
    return Finding("Starting", "Starting", "the bot's container is being started", pod=pod)


def _login(pod: Object) -> Object:
    """The kubelet's word on the container that runs before the bot's; empty once it is done."""
    statuses = pod.get("status", {}).get("initContainerStatuses", [])
    found: Object = next((s for s in statuses if s["name"] == LOGIN), {})
    done = found.get("state", {}).get("terminated", {}).get("exitCode") == 0
    return {} if done else found


def _without_login(pod: Object, status: Object, events: Iterable[Object]) -> Finding:
    state = status.get("state", {})
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated")
    if ended is None:
        return _waiting(pod, state.get("waiting", {}), events)
    text = f"the account got no login in the database: {read_error(ended)}"
    return Finding("Pending", "NoLogin", text, pod=pod)


def _trading(pod: Object, answer: Answer | None) -> Finding:
    if answer is not None and answer.reason in NOT_YET:
        return Finding("Running", answer.reason, answer.message, ready=True, pod=pod, answer=answer)
    if answer is None or not answer.halted:
        return Finding("Running", "Running", "the bot trades", ready=True, pod=pod)
    # A bot that is halted is not ready, whether or not the kubelet has asked it since: it takes no decision.
    text = answer.message or "halted: no new order is sent until it is resumed"
    halt = Halt(reason=(answer.reason or "Halted")[:64], message=text[:1024], time=answer.since[:32])
    return Finding("Halted", halt.reason, text, halt=halt, pod=pod)


def _starting(pod: Object, answer: Answer | None) -> Finding:
    reason, text = "Starting", "the bot runs and is not ready yet"
    if answer is not None and answer.reason:
        reason, text = answer.reason, answer.message or text
    return Finding("Starting", reason, text, pod=pod, answer=answer)


def find_pod(pod: Object, events: Iterable[Object], answer: Answer | None) -> Finding:
    """Where the bot of a pod stands."""
    if leaving(pod):
        return Finding("Starting", "Stopping", "the bot is ending; the next one starts after it", pod=pod)
    status = container_status(pod)
    state, last = status.get("state", {}), status.get("lastState", {}).get("terminated")
    ended = state.get("terminated") or last
    if _ready(pod) or (answer is not None and answer.halted):
        return _trading(pod, answer)
    if before := _login(pod):
        return _without_login(pod, before, events)
    if ended is not None:
        return _ended(pod, ended)
    if "running" in state:
        return _starting(pod, answer)
    return _waiting(pod, state.get("waiting", {}), events)


def find(suspended: bool, pods: Iterable[Object], events: Iterable[Object], answer: Answer | None) -> Finding:
    """Where a Strategy stands, from its pods. A StatefulSet of one replica has one at most."""
    pod = next(iter(pods), None)
    if suspended:
        if pod is None:
            return Finding("Suspended", "Suspended", "suspended: no bot runs")
        return Finding("Running", "Stopping", "to be suspended: the bot is ending", pod=pod)
    if pod is None:
        return Finding("Pending", "Starting", "the bot's pod is being made")
    return find_pod(pod, events, answer)


def needs_events(pods: Iterable[Object]) -> bool:
    """Whether a pod waits for something that only Events tell: a scheduled pod without a container."""
    return any(
        not leaving(pod)
        and pod.get("spec", {}).get("nodeName")
        and "running" not in container_status(pod).get("state", {})
        for pod in pods
    )


# --- status -------------------------------------------------------------------------------------------------


def truth(value: bool) -> Truth:
    return "True" if value else "False"


def status_of(
    resource: Object,
    finding: Finding,
    history: History,
    now: str,
    running: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """The status to write, `now` in ISO 8601 UTC. `running` are mode and code digest of what runs."""
    before = resource.get("status", {})
    halt = finding.halt
    if halt is not None and not halt.time:
        known = before.get("lastHalt", {})
        went_on = known.get("reason") == halt.reason and before.get("phase") == "Halted"
        halt = halt.model_copy(update={"time": known["time"] if went_on else now})
    ready = condition_of(resource, "Ready") or {}
    message = finding.message
    if finding.answer is not None and ready.get("reason") == finding.reason:
        message = ready["message"]  # the bot's words may hold figures that never rest
    status = StrategyStatus(
        observed_generation=resource["metadata"]["generation"],
        phase=finding.phase,
        since=before["since"] if before.get("phase") == finding.phase else now,
        conditions=(
            condition(resource, "Ready", truth(finding.ready), finding.reason, message, now),
            condition(resource, "Progressing", truth(progress.on), progress.reason, progress.message, now),
            condition(
                resource,
                "Halted",
                truth(halt is not None),
                halt.reason if halt else "NotHalted",
                halt.message if halt else "orders may be sent",
                now,
            ),
        ),
        revision=revision_of(finding.pod) or None if finding.pod is not None else None,
        image=container_status(finding.pod).get("image") if finding.pod is not None else None,
        last_halt=halt or before.get("lastHalt"),
        revisions=history.entries,
        **running,
    )
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")
