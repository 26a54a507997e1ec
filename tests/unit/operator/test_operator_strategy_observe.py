"""The state of a bot's pod as a Strategy's status."""

from __future__ import annotations

from typing import Any

import pytest

from sigma_operator.crds.status import Revision
from sigma_operator.strategy.observe import has_run, needs_events, observe, parse_readiness, status_of
from sigma_operator.strategy.revisions import RevisionHistory
from sigma_operator.strategy.state import BotReadiness, StrategyState
from tests.unit.operator.operator_samples import NOW, bot_pod, ended, strategy_resource

Object = dict[str, Any]
LATER = "2026-01-02T03:09:00Z"
RUNNING: dict[str, Any] = {"state": {"running": {}}}
CRASHED = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
MOUNT = 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found'


def crashed(code: int, message: str = "", reason: str = "Error") -> Object:
    document = {"error": {"code": code, "message": message}} if message else None
    return bot_pod(**CRASHED, lastState={"terminated": ended(code, document, reason)})  # type: ignore[arg-type]


def waiting(reason: str, message: str = "") -> Object:
    return bot_pod(state={"waiting": {"reason": reason, "message": message}})


def before(**login: Any) -> Object:
    """A pod whose bot waits for the container that runs before it."""
    pod = bot_pod(state={"waiting": {"reason": "PodInitializing"}})
    pod["status"]["initContainerStatuses"] = [{"name": "login", **login}]
    return pod


NO_SECRET = {"reason": "CreateContainerConfigError", "message": 'secret "sigma-x-granter" not found'}
NO_TABLES = {"exitCode": 1, "reason": "Error", "message": "its tables are of an older version\n"}


@pytest.mark.parametrize(
    ("pod", "readiness", "phase", "reason", "said"),
    [
        (before(state={"running": {}}), None, "Starting", "Starting", "is being started"),
        (before(state={"waiting": NO_SECRET}), None, "Pending", "SecretMissing", "sigma-x-granter"),
        (before(state={"terminated": NO_TABLES}), None, "Pending", "NoLogin", "an older version"),
        (
            before(**CRASHED, lastState={"terminated": NO_TABLES}),
            None,
            "Pending",
            "NoLogin",
            "no login in the database: its tables",
        ),
        (before(state={"terminated": ended(0)}), None, "Starting", "Starting", "is being started"),
        (None, None, "Pending", "Starting", "is being made"),
        (bot_pod(), None, "Starting", "Starting", "is being started"),
        (waiting("ContainerCreating"), None, "Starting", "Starting", "is being started"),
        (waiting("ErrImagePull", "no x:1"), None, "Pending", "ErrImagePull", "can't be pulled: no x:1"),
        (
            waiting("CreateContainerConfigError", 'secret "sigma-x-connections" not found'),
            None,
            "Pending",
            "SecretMissing",
            "sigma-x-connections",
        ),
        (bot_pod(**RUNNING), None, "Starting", "Starting", "not ready yet"),
        (
            bot_pod(**RUNNING),
            BotReadiness("Reconciling", "asks upbit for its orders"),
            "Starting",
            "Reconciling",
            "upbit",
        ),
        (bot_pod(ready=True, **RUNNING), None, "Running", "Running", "trades"),
        (bot_pod(ready=True, **RUNNING), BotReadiness("Trading", "trades"), "Running", "Running", "trades"),
        (
            bot_pod(ready=True, **RUNNING),
            BotReadiness("WarmingUp", "no order before 10:00"),
            "Running",
            "WarmingUp",
            "no order before",
        ),
        (
            bot_pod(**RUNNING),
            BotReadiness("DailyLoss", "lost 3 % today", True, NOW),
            "Halted",
            "DailyLoss",
            "lost 3 %",
        ),
        (
            crashed(2, "spec.strategy.code:7: invalid syntax"),
            None,
            "Failed",
            "BadInput",
            "code:7: invalid syntax",
        ),
        (crashed(3, "ValueError: too dear"), None, "Failed", "StrategyRaised", "too dear"),
        (crashed(4, "another bot holds the lease"), None, "Starting", "LeaseHeld", "another bot"),
        (crashed(1), None, "Failed", "BotFailed", "exit code 1"),
        (crashed(137, reason="OOMKilled"), None, "Failed", "OutOfMemory", "more memory"),
        (crashed(137), None, "Starting", "Restarting", "starts again"),
    ],
)
def test_where_it_stands(
    pod: Object | None, readiness: BotReadiness | None, phase: str, reason: str, said: str
) -> None:
    observed = observe(False, [] if pod is None else [pod], [], readiness)
    assert (observed.phase, observed.reason) == (phase, reason)
    assert said in observed.message
    assert observed.ready is (phase == "Running")


@pytest.mark.parametrize(("code", "final"), [(2, True), (3, True), (1, False), (4, False), (137, False)])
def test_what_the_same_content_would_do_again(code: int, final: bool) -> None:
    assert observe(False, [crashed(code)], [], None).permanent is final


def test_a_secret_that_can_not_be_mounted_is_only_in_the_events() -> None:
    pod = waiting("ContainerCreating")
    assert needs_events([pod])
    event = {"reason": "FailedMount", "message": MOUNT, "involvedObject": {"uid": "pod-uid"}}
    observed = observe(False, [pod], [event], None)
    assert observed.reason == "SecretMissing"
    assert 'secret "keys" not found' in observed.message
    other = event | {"involvedObject": {"uid": "of a pod before"}}
    assert observe(False, [pod], [other], None).reason == "Starting"


def test_a_mount_that_failed_at_first_is_past_once_there_is_a_sandbox() -> None:
    """A slow API server makes the kubelet try twice; then the login takes its time."""
    pod = waiting("PodInitializing")
    event = {"reason": "FailedMount", "message": MOUNT, "involvedObject": {"uid": "pod-uid"}}
    assert observe(False, [pod], [event], None).reason == "SecretMissing"
    pod["status"]["conditions"] = [{"type": "PodReadyToStartContainers", "status": "True"}]
    assert observe(False, [pod], [event], None).reason == "Starting"


def test_a_running_bot_needs_no_events() -> None:
    assert not needs_events([bot_pod(**RUNNING)])


def test_no_room_on_the_node_is_said() -> None:
    pod = bot_pod()
    pod["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}
    ]
    assert observe(False, [pod], [], None).reason == "Unschedulable"


def test_suspended_is_said_once_the_bot_is_gone() -> None:
    pod = bot_pod(ready=True, **RUNNING)
    stopping = observe(True, [pod], [], None)
    assert (stopping.phase, stopping.reason, stopping.ready) == ("Running", "Stopping", False)
    assert observe(True, [], [], None).phase == "Suspended"


@pytest.mark.parametrize("body", ["", "ok", "[]", "7", "{"])
def test_a_body_that_is_no_readiness(body: str) -> None:
    assert parse_readiness(body) is None


def test_a_readiness() -> None:
    body = '{"ready": false, "reason": "Halted", "message": "by hand", "halted": true}'
    assert parse_readiness(body) == BotReadiness("Halted", "by hand", True, "")


def status(
    resource: Object, observed: StrategyState, now: str = NOW, entries: tuple[Revision, ...] = ()
) -> Object:
    history = RevisionHistory(entries)
    running = {"mode": "sim", "code_digest": "d" * 64}
    return status_of(resource, observed, history, now, running, history.progress(observed))


def conditions(status: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


def test_ready_is_false_from_the_first_look() -> None:
    made = status(strategy_resource(), observe(False, [], [], None))
    assert conditions(made) == {"Ready": "False", "Progressing": "True", "Halted": "False"}
    assert made["observedGeneration"] == 1


def test_times_move_only_when_something_flips() -> None:
    first = status(strategy_resource(), observe(False, [], [], None))
    same = status(strategy_resource(first), observe(False, [], [], None), LATER)
    assert same == first
    up = observe(False, [bot_pod(ready=True, **RUNNING)], [], None)
    after = status(strategy_resource(first), up, LATER)
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times == {"Ready": LATER, "Progressing": NOW, "Halted": NOW}
    assert (after["since"], after["revision"], after["image"]) == (LATER, "aaaaaaaaaa", "s:1")


def test_a_halt_is_remembered_after_it_is_over() -> None:
    halted = observe(False, [bot_pod(**RUNNING)], [], BotReadiness("DailyLoss", "lost 3 %", True))
    during = status(strategy_resource(), halted)
    assert conditions(during)["Halted"] == "True"
    still = observe(False, [bot_pod(ready=True, **RUNNING)], [], BotReadiness("DailyLoss", "lost 3 %", True))
    assert not still.ready, "whatever the kubelet asked a moment ago"
    assert conditions(during)["Ready"] == "False"
    assert during["lastHalt"] == {"reason": "DailyLoss", "message": "lost 3 %", "time": NOW}
    assert status(strategy_resource(during), halted, LATER) == during, "the time of the halt stays"
    up = observe(False, [bot_pod(ready=True, **RUNNING)], [], None)
    after = status(strategy_resource(during), up, LATER)
    assert conditions(after)["Halted"] == "False"
    assert after["lastHalt"] == during["lastHalt"]


@pytest.mark.parametrize(
    ("pod", "ran"),
    [
        (waiting("PodInitializing"), False),
        (before(state={"waiting": NO_SECRET}), False),
        (bot_pod(**RUNNING), True),
        (bot_pod(state={"terminated": {"exitCode": 137}}), True),
        (crashed(137), True),
        (bot_pod(state={"waiting": {"reason": "PodInitializing"}}, restartCount=1), True),
    ],
)
def test_a_pod_whose_bot_was_up_is_told_from_one_that_never_began(pod: Object, ran: bool) -> None:
    """The first is not made anew for what held its beginning up, which Events go on telling for an hour."""
    assert has_run(pod) is ran
