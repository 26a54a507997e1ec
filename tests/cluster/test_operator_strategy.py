"""Strategies on a real cluster: bots that trade, are killed, changed, halted, suspended and deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.cluster.api import Object
from tests.cluster.namespace import RELEASE, Namespace, conditions
from tests.cluster.onenode.client import Client
from tests.cluster.onenode.tools import ROOT
from tests.cluster.strategies import (
    CODE,
    bots,
    delete,
    is_ready,
    restarts,
    sigkill_bot,
    strategy,
    trading_namespace,
    wait,
    wait_phase,
    wait_reason,
    wait_steady,
    with_code,
    with_params,
)


@pytest.fixture(scope="module")
def workspace(installed: Client) -> Iterator[Namespace]:
    with trading_namespace(installed) as namespace:
        yield namespace


@pytest.fixture(scope="module")
def trader(workspace: Namespace) -> str:
    """A Strategy that runs through most of the tests here."""
    began = time.monotonic()
    workspace.apply(strategy("trader"))
    wait_phase(workspace, "trader", "Running")
    print(f"apply to a bot that processes ticks: {time.monotonic() - began:.1f} s")
    return "trader"


@pytest.fixture(scope="module", autouse=True)
def stuck(workspace: Namespace) -> str:
    """A Strategy that is deleted while the tests here run. What it holds can't be closed, since the bot's
    image is not there: it takes the whole deadline."""
    workspace.apply(strategy("stuck", deletionPolicy="flatten", bot={"image": "localhost/none:1"}))
    wait_phase(workspace, "stuck", "Pending")
    workspace.kubectl("delete", "strat/stuck", "--wait=false")
    return "stuck"


def about(workspace: Namespace, name: str) -> str:
    """The Events about a Strategy."""
    return workspace.kubectl("get", "events", f"--field-selector=involvedObject.name={name}")


def operators(workspace: Namespace) -> list[Object]:
    """The operator's pods: one, or none."""
    return workspace.api.list("pod", RELEASE, "app.kubernetes.io/component=operator")


def revisions(resource: Object) -> list[tuple[str, str]]:
    return [(entry["revision"], entry["outcome"]) for entry in resource["status"]["revisions"]]


def test_runs_and_says_so(workspace: Namespace, trader: str) -> None:
    workspace.kubectl("wait", f"strat/{trader}", "--for=condition=Ready", "--timeout=180s")
    found = wait_phase(workspace, trader, "Running")
    status = found["status"]
    assert (status["phase"], status["mode"]) == ("Running", "sim")
    assert conditions(found)["Progressing"]["status"] == "False"
    assert conditions(found)["Halted"]["status"] == "False"
    assert revisions(found) == [(status["revision"], "Ready")]
    assert "sigma-x/sigma" in status["image"]
    (row,) = [line for line in workspace.kubectl("get", "strat").splitlines() if trader in line]
    assert "sim" in row


def test_the_example_is_applied_as_it_is(workspace: Namespace) -> None:
    """With the very commands that the example names."""
    workspace.kubectl("apply", "-f", ROOT / "examples" / "ema-cross" / "strategy.yaml")
    workspace.kubectl("wait", "strat/ema-cross", "--for=condition=Ready", "--timeout=180s")
    delete(workspace, "ema-cross")


def test_the_pod_has_no_token_and_no_keys_in_its_environment(workspace: Namespace, trader: str) -> None:
    listing = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'), sorted(os.environ))"
    output = workspace.kubectl("exec", f"{trader}-0", "--", "/opt/sigma/bin/python", "-c", listing)
    assert output.startswith("False")
    assert "SIGMA_API_KEY" not in output


def test_a_killed_bot_comes_back(workspace: Namespace, trader: str) -> None:
    wait_steady(workspace, trader)
    before = workspace.get(f"pod/{trader}-0")
    sigkill_bot(workspace, trader)
    began = time.monotonic()

    def back() -> bool:
        (pod,) = bots(workspace, trader)
        return restarts(pod) > restarts(before) and is_ready(pod)

    workspace.wait_until(back, "it is not started again")
    wait_steady(workspace, trader)
    print(f"killed to running again: {time.monotonic() - began:.1f} s")
    assert workspace.get(f"pod/{trader}-0")["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("kind", ["statefulset", "networkpolicy", "configmap"])
def test_a_deleted_child_is_made_again(workspace: Namespace, trader: str, kind: str) -> None:
    revision = wait_steady(workspace, trader)["status"]["revision"]
    name = f"{trader}-{revision}" if kind == "configmap" else trader
    pod = workspace.get(f"pod/{trader}-0")["metadata"]["uid"]
    uid = workspace.get(f"{kind}/{name}")["metadata"]["uid"]
    workspace.kubectl("delete", f"{kind}/{name}")
    if kind == "configmap":  # nobody watches these; the next step finds out
        workspace.kubectl("annotate", f"strat/{trader}", "--overwrite", "look=again")

    def there() -> bool:
        found = workspace.find(f"{kind}/{name}")
        return found is not None and found["metadata"]["uid"] != uid

    workspace.wait_until(there, f"the {kind} is not made again")
    if kind == "statefulset":  # the garbage collector takes the pod with it

        def another() -> bool:
            return all(found["metadata"]["uid"] != pod for found in bots(workspace, trader))

        workspace.wait_until(another, "the pod outlives its StatefulSet")
    wait_steady(workspace, trader)


@pytest.mark.parametrize(
    ("kind", "patch", "holds"),
    [
        ("statefulset", {"spec": {"replicas": 0}}, "1"),
        ("statefulset", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}, '"OnDelete"'),
        ("networkpolicy", {"spec": {"egress": None}}, '"port": 443}'),
    ],
)
def test_a_child_edited_by_hand_is_put_right(
    workspace: Namespace, trader: str, kind: str, patch: Object, holds: str
) -> None:
    wait_steady(workspace, trader)
    child = f"{kind}/{trader}"
    (field,) = patch["spec"]

    def shown(found: Object) -> str:
        return json.dumps(found["spec"].get(field))

    right = shown(workspace.get(child))
    assert holds in right
    edited = workspace.kubectl("patch", child, "--type=merge", "-p", json.dumps(patch), "-o", "json")
    assert shown(json.loads(edited)) != right
    workspace.wait_until(lambda: shown(workspace.get(child)) == right, "is not put right")
    wait_steady(workspace, trader)


def test_a_change_is_another_revision_and_never_two_traders(workspace: Namespace, trader: str) -> None:
    old = wait_steady(workspace, trader)["status"]["revision"]
    seen: set[str] = set()

    def look() -> None:
        pods = bots(workspace, trader)
        assert len(pods) <= 1
        seen.update(pod["metadata"]["labels"]["sigma-x.io/revision"] for pod in pods)

    def changed(found: Object) -> bool:
        look()
        return found["status"]["phase"] == "Running" and found["status"].get("revision") not in (None, old)

    look()
    workspace.apply(with_params(strategy(trader), fast=5, slow=9))
    found = wait(workspace, trader, changed, "the change is not made")
    look()
    new = found["status"]["revision"]
    assert seen == {old, new}
    assert revisions(found)[-2:] == [(old, "Ready"), (new, "Ready")]


def test_a_revision_that_can_not_start_is_rolled_back(workspace: Namespace, trader: str) -> None:
    good = wait_steady(workspace, trader)["status"]["revision"]
    workspace.apply(with_code(strategy(trader), f"import nowhere\n{CODE}"))
    found = wait_reason(workspace, trader, "RolledBack", kind="Progressing")
    assert "nowhere" in conditions(found)["Progressing"]["message"]
    found = wait(
        workspace,
        trader,
        lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") == good,
        "the revision before does not run again",
    )
    assert revisions(found)[-1][1] == "RolledBack"
    workspace.apply(with_params(strategy(trader), fast=5, slow=9))
    wait_reason(workspace, trader, "Settled", kind="Progressing")
    assert wait_steady(workspace, trader)["status"]["revision"] == good


def test_a_syntax_error_stops_nothing_that_runs(workspace: Namespace, trader: str) -> None:
    wait_steady(workspace, trader)
    before = workspace.get(f"pod/{trader}-0")
    workspace.apply(with_code(strategy(trader), "def broken(:\n"))
    found = wait_reason(workspace, trader, "BadInput", kind="Progressing")
    assert "spec.strategy.code:1" in conditions(found)["Progressing"]["message"]
    wait_steady(workspace, trader)
    after = workspace.get(f"pod/{trader}-0")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert restarts(after) == restarts(before)
    workspace.apply(with_params(strategy(trader), fast=5, slow=9))
    wait_reason(workspace, trader, "Settled", kind="Progressing")


def test_suspend_and_resume(workspace: Namespace, trader: str) -> None:
    suspend = {"spec": {"suspend": True}}
    workspace.kubectl("patch", f"strat/{trader}", "--type=merge", "-p", json.dumps(suspend))
    found = wait_phase(workspace, trader, "Suspended")
    assert conditions(found)["Ready"]["status"] == "False"
    assert not bots(workspace, trader)
    suspend["spec"]["suspend"] = False
    workspace.kubectl("patch", f"strat/{trader}", "--type=merge", "-p", json.dumps(suspend))
    wait_phase(workspace, trader, "Running")


def test_halted_and_resumed_by_kubectl_sigma(workspace: Namespace, trader: str) -> None:
    assert trader in workspace.sigma("status")
    workspace.sigma("halt", trader, "--reason", "strange fills")
    found = wait_phase(workspace, trader, "Halted")
    halted = conditions(found)["Halted"]
    assert (halted["status"], conditions(found)["Ready"]["status"]) == ("True", "False")
    assert "strange fills" in halted["message"]
    workspace.sigma("resume", trader)
    found = wait_phase(workspace, trader, "Running")
    assert conditions(found)["Halted"]["status"] == "False"
    assert "strange fills" in found["status"]["lastHalt"]["message"]
    assert "Ready=True" in workspace.sigma("report", trader)
    assert workspace.sigma("logs", trader)


def test_kubectl_sigma_without_a_bot(workspace: Namespace) -> None:
    """Where none runs it makes a pod of its own."""
    workspace.apply(strategy("sleeper", suspend=True, deletionPolicy="leave"))
    wait_phase(workspace, "sleeper", "Suspended")
    patch = json.dumps({"spec": {"suspend": True}})
    workspace.kubectl("patch", "strat/trader", "--type=merge", "-p", patch)
    wait_phase(workspace, "trader", "Suspended")
    assert "trader" in workspace.sigma("status")
    workspace.kubectl("patch", "strat/trader", "--type=merge", "-p", patch.replace("true", "false"))
    wait_phase(workspace, "trader", "Running")
    delete(workspace, "sleeper")


def test_the_operator_is_away_while_things_change(workspace: Namespace, trader: str) -> None:
    scale = ("scale", "deployment/sigma-x-operator", "-n", RELEASE)
    old = wait_steady(workspace, trader)["status"]["revision"]
    workspace.kubectl(*scale, "--replicas=0")
    workspace.wait_until(lambda: not operators(workspace), "the operator does not end", 180)
    workspace.apply(with_params(strategy(trader), fast=4, slow=8), strategy("newcomer", suspend=True))
    workspace.kubectl("delete", f"networkpolicy/{trader}")
    workspace.kubectl(*scale, "--replicas=1")
    wait(
        workspace, trader, lambda r: r["status"].get("revision") not in (None, old), "the change is not made"
    )
    wait_steady(workspace, trader)
    wait_phase(workspace, "newcomer", "Suspended")
    assert workspace.find(f"networkpolicy/{trader}")
    delete(workspace, "newcomer")


@pytest.mark.parametrize(
    ("name", "code", "params", "reason", "message"),
    [
        ("syntax", "class A(Strategy)\n    pass\n", {}, "BadInput", "spec.strategy.code:1"),
        ("param", CODE, {"fats": 5}, "BadInput", "did you mean 'fast'"),
        ("bounds", CODE, {"fast": -5}, "BadInput", "spec.strategy.params.fast"),
        ("module", f"import nowhere\n{CODE}", {}, "BadInput", "nowhere"),
    ],
)
def test_a_bad_strategy_is_told(
    workspace: Namespace, name: str, code: str, params: Object, reason: str, message: str
) -> None:
    workspace.apply(with_code(with_params(strategy(name, deletionPolicy="leave"), **params), code))
    began = time.monotonic()
    found = wait_reason(workspace, name, reason)
    print(f"{name}: told after {time.monotonic() - began:.1f} s")
    assert message in conditions(found)["Ready"]["message"]
    assert found["status"]["phase"] == "Failed"
    delete(workspace, name)


def test_an_image_that_is_not_there(workspace: Namespace) -> None:
    """It is pulled after the account has got its login, and the kubelet takes its time to give up."""
    workspace.apply(strategy("unpulled", deletionPolicy="leave", bot={"image": "localhost/none:1"}))
    began = time.monotonic()
    reasons = ("ErrImagePull", "ImagePullBackOff")
    found = wait(
        workspace,
        "unpulled",
        lambda r: conditions(r).get("Ready", {}).get("reason") in reasons,
        "the missing image is not told",
    )
    print(f"image missing: told after {time.monotonic() - began:.1f} s")
    assert "the image can't be pulled" in conditions(found)["Ready"]["message"]
    assert found["status"]["phase"] == "Pending"
    workspace.apply(strategy("unpulled", deletionPolicy="leave"))
    wait_phase(workspace, "unpulled", "Running")
    delete(workspace, "unpulled")


def test_a_missing_secret_is_told_and_followed_when_it_comes(workspace: Namespace) -> None:
    manifest = strategy("keyless", deletionPolicy="leave")
    manifest["spec"]["account"]["secretRef"] = {"name": "late"}
    workspace.apply(manifest)
    found = wait_reason(workspace, "keyless", "SecretMissing")
    assert "late" in conditions(found)["Ready"]["message"]
    workspace.kubectl(
        "create", "secret", "generic", "late", "--from-literal=apiKey=a", "--from-literal=secret=b"
    )
    wait_phase(workspace, "keyless", "Running", 300)
    delete(workspace, "keyless")


def test_deletion_cancels_by_a_job_and_leaves_nothing(workspace: Namespace) -> None:
    workspace.apply(strategy("goner", deletionPolicy="cancel"))
    wait_phase(workspace, "goner", "Running")
    print(f"deleted with its orders cancelled in {delete(workspace, 'goner'):.1f} s")
    assert "'cancel' is done" in about(workspace, "goner")

    def left() -> list[str]:
        kinds = ("statefulset", "pod", "job", "configmap", "networkpolicy")
        names = [found["metadata"]["name"] for kind in kinds for found in workspace.list(kind)]
        return [name for name in names if "goner" in name]

    workspace.wait_until(lambda: not left(), "children are left behind")


def test_deletion_can_be_let_go_at_once(workspace: Namespace) -> None:
    workspace.apply(strategy("hurry", deletionPolicy="flatten", bot={"image": "localhost/none:1"}))
    wait_phase(workspace, "hurry", "Pending")
    workspace.kubectl("annotate", "strat/hurry", "sigma-x.io/skip-close=true")
    print(f"let go without a close in {delete(workspace, 'hurry'):.1f} s")
    assert "CloseSkipped" in about(workspace, "hurry")


@pytest.mark.parametrize("policy", ["drain", "flatten"])
def test_the_other_ways_to_change(workspace: Namespace, policy: str) -> None:
    name = f"swaps-{policy}"
    manifest = strategy(name, swapPolicy=policy, deletionPolicy="leave")
    workspace.apply(manifest)
    old = wait_phase(workspace, name, "Running")["status"]["revision"]
    workspace.apply(with_params(manifest, fast=3, slow=6))
    found = wait(
        workspace,
        name,
        lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") not in (None, old),
        "the new revision does not run",
        300,  # drain: until the strategy happens to hold nothing
    )
    assert revisions(found)[-1][1] == "Ready"
    jobs = workspace.list("job", f"sigma-x.io/strategy={name}")
    assert bool(jobs) is (policy == "flatten")
    delete(workspace, name)


def test_a_flatten_that_fails_is_told_and_stops_nobody(workspace: Namespace) -> None:
    manifest = strategy("unclosed", swapPolicy="flatten", deletionPolicy="leave")
    workspace.apply(manifest)
    old = wait_phase(workspace, "unclosed", "Running")["status"]["revision"]
    workspace.kubectl("create", "quota", "no-jobs", "--hard=count/jobs.batch=0")
    try:
        workspace.apply(with_params(manifest, fast=3, slow=6))
        found = wait_reason(workspace, "unclosed", "FlattenFailed", kind="Progressing")
        progress = conditions(found)["Progressing"]
        assert f"what {old} held was not closed" in progress["message"]
        assert "quota" in progress["message"]
        found = wait(
            workspace,
            "unclosed",
            lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") not in (None, old),
            "the new revision does not run",
        )
        progress = conditions(found)["Progressing"]
        assert (progress["status"], progress["reason"]) == ("False", "FlattenFailed")
    finally:
        workspace.kubectl("delete", "quota", "no-jobs")
    events = workspace.kubectl("get", "events", "--field-selector=involvedObject.name=unclosed,type=Warning")
    assert events.count("FlattenFailed") == 1
    delete(workspace, "unclosed")


def test_a_hundred_at_once(workspace: Namespace) -> None:
    names = [f"many-{number}" for number in range(100)]
    began = time.monotonic()
    workspace.apply(*(strategy(name, suspend=True, deletionPolicy="leave") for name in names))

    def all_seen() -> bool:
        listed = workspace.list("strategy")
        found = {s["metadata"]["name"]: s.get("status", {}).get("phase") for s in listed}
        return all(found.get(name) == "Suspended" for name in names)

    workspace.wait_until(all_seen, "not all are reconciled")
    print(f"100 Strategies reconciled in {time.monotonic() - began:.1f} s")

    def made() -> int:
        return sum(s["metadata"]["name"].startswith("many-") for s in workspace.list("statefulset"))

    workspace.wait_until(lambda: made() == 100, "not all have their objects")
    for name in names:
        workspace.api.delete(f"strategy/{name}", workspace.name)

    def deleted() -> bool:
        return not {found["metadata"]["name"] for found in workspace.list("strategy")} & set(names)

    workspace.wait_until(deleted, "not all are deleted", 300)


def test_deletion_is_never_stuck(workspace: Namespace, stuck: str) -> None:
    """The deadline began with the tests here."""
    workspace.wait_until(lambda: not workspace.find(f"strategy/{stuck}"), "it is there for ever", 300)
    events = about(workspace, stuck)
    assert "CloseDeadline" in events or "CloseFailed" in events, events


def test_the_operator_never_fell(workspace: Namespace) -> None:
    """It has listed everything against its watches by now, and restarted only when it was told to."""
    (pod,) = operators(workspace)
    (status,) = pod["status"]["containerStatuses"]
    assert status["restartCount"] == 0, status
