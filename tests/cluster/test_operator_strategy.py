"""Strategies on a real cluster: bots that trade, are killed, changed, halted, suspended and deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from floor import (
    CODE,
    IN,
    RELEASE,
    apply,
    bots,
    conditions,
    delete,
    floor,
    get,
    is_ready,
    restarts,
    sigkill_bot,
    strategy,
    wait,
    wait_phase,
    wait_reason,
    wait_steady,
    with_code,
    with_params,
)
from onenode.client import Client

from conftest import ROOT

Object = dict[str, Any]
Until = Callable[..., None]


@pytest.fixture(scope="module")
def desk(installed: object) -> Iterator[Client]:
    assert isinstance(installed, Client)
    with floor(installed) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def trader(desk: Client) -> str:
    """A Strategy that runs through most of the tests here."""
    began = time.monotonic()
    apply(desk, strategy("trader"))
    wait_phase(desk, "trader", "Running")
    print(f"apply to a bot that processes ticks: {time.monotonic() - began:.1f} s")
    return "trader"


@pytest.fixture(scope="module", autouse=True)
def stuck(desk: Client) -> str:
    """A Strategy that is deleted while the tests here run. What it holds can't be closed, since the bot's
    image is not there: it takes the whole deadline."""
    apply(desk, strategy("stuck", deletionPolicy="flatten", bot={"image": "localhost/none:1"}))
    wait_phase(desk, "stuck", "Pending")
    desk.kubectl("delete", "strat/stuck", *IN, "--wait=false")
    return "stuck"


def about(cluster: Client, name: str) -> str:
    """The Events about a Strategy."""
    return cluster.kubectl("get", "events", *IN, f"--field-selector=involvedObject.name={name}")


def revisions(resource: Object) -> list[tuple[str, str]]:
    return [(entry["revision"], entry["outcome"]) for entry in resource["status"]["revisions"]]


def test_runs_and_says_so(desk: Client, trader: str) -> None:
    desk.kubectl("wait", f"strat/{trader}", *IN, "--for=condition=Ready", "--timeout=180s")
    found = wait_phase(desk, trader, "Running")
    status = found["status"]
    assert (status["phase"], status["mode"]) == ("Running", "sim")
    assert conditions(found)["Progressing"]["status"] == "False"
    assert conditions(found)["Halted"]["status"] == "False"
    assert revisions(found) == [(status["revision"], "Ready")]
    assert "sigma-x/sigma" in status["image"]
    (row,) = [line for line in desk.kubectl("get", "strat", *IN).splitlines() if trader in line]
    assert "sim" in row


def test_the_example_is_applied_as_it_is(desk: Client) -> None:
    """With the very commands that the example names."""
    desk.kubectl("apply", *IN, "-f", ROOT / "examples" / "ema-cross" / "strategy.yaml")
    desk.kubectl("wait", "strat/ema-cross", *IN, "--for=condition=Ready", "--timeout=180s")
    delete(desk, "ema-cross")


def test_the_pod_has_no_token_and_no_keys_in_its_environment(desk: Client, trader: str) -> None:
    listing = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'), sorted(os.environ))"
    said = desk.kubectl("exec", f"{trader}-0", *IN, "--", "/opt/sigma/bin/python", "-c", listing)
    assert said.startswith("False")
    assert "SIGMA_API_KEY" not in said


def test_a_killed_bot_comes_back(desk: Client, trader: str, until: Until) -> None:
    wait_steady(desk, trader)
    before = get(desk, f"pod/{trader}-0")
    sigkill_bot(desk, trader)
    began = time.monotonic()

    def back() -> bool:
        (pod,) = bots(desk, trader)
        return restarts(pod) > restarts(before) and is_ready(pod)

    until(back, "it is not started again")
    wait_steady(desk, trader)
    print(f"killed to running again: {time.monotonic() - began:.1f} s")
    assert get(desk, f"pod/{trader}-0")["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("kind", ["statefulset", "networkpolicy", "configmap"])
def test_a_deleted_child_is_made_again(desk: Client, trader: str, kind: str, until: Until) -> None:
    revision = wait_steady(desk, trader)["status"]["revision"]
    name = f"{trader}-{revision}" if kind == "configmap" else trader
    pod = get(desk, f"pod/{trader}-0")["metadata"]["uid"]
    uid = get(desk, f"{kind}/{name}")["metadata"]["uid"]
    desk.kubectl("delete", f"{kind}/{name}", *IN)
    if kind == "configmap":  # nobody watches these; the next step finds out
        desk.kubectl("annotate", f"strat/{trader}", *IN, "--overwrite", "look=again")

    def there() -> bool:
        found = desk.try_kubectl("get", f"{kind}/{name}", *IN, "-o", "jsonpath={.metadata.uid}")
        return found not in ("", uid)

    until(there, f"the {kind} is not made again")
    if kind == "statefulset":  # the garbage collector takes the pod with it

        def another() -> bool:
            return all(found["metadata"]["uid"] != pod for found in bots(desk, trader))

        until(another, "the pod outlives its StatefulSet")
    wait_steady(desk, trader)


@pytest.mark.parametrize(
    ("kind", "patch", "path", "holds"),
    [
        ("statefulset", {"spec": {"replicas": 0}}, "{.spec.replicas}", "1"),
        (
            "statefulset",
            {"spec": {"updateStrategy": {"type": "RollingUpdate"}}},
            "{.spec.updateStrategy.type}",
            "OnDelete",
        ),
        ("networkpolicy", {"spec": {"egress": None}}, "{.spec.egress}", '"port":443,'),
    ],
)
def test_a_child_edited_by_hand_is_put_right(
    desk: Client, trader: str, kind: str, patch: Object, path: str, holds: str, until: Until
) -> None:
    wait_steady(desk, trader)
    child, shown = f"{kind}/{trader}", f"jsonpath={path}"
    right = desk.kubectl("get", child, *IN, "-o", shown)
    assert holds in right
    edited = desk.kubectl("patch", child, *IN, "--type=merge", "-p", json.dumps(patch), "-o", shown)
    assert edited != right
    until(lambda: desk.kubectl("get", child, *IN, "-o", shown) == right, "is not put right")
    wait_steady(desk, trader)


def test_a_change_is_another_revision_and_never_two_traders(desk: Client, trader: str) -> None:
    old = wait_steady(desk, trader)["status"]["revision"]
    seen = set()

    def look() -> None:
        pods = bots(desk, trader)
        assert len(pods) <= 1
        seen.update(pod["metadata"]["labels"]["sigma-x.io/revision"] for pod in pods)

    def changed(found: Object) -> bool:
        look()
        return found["status"]["phase"] == "Running" and found["status"].get("revision") not in (None, old)

    look()
    apply(desk, with_params(strategy(trader), fast=5, slow=9))
    found = wait(desk, trader, changed, "the change is not made")
    look()
    new = found["status"]["revision"]
    assert seen == {old, new}
    assert revisions(found)[-2:] == [(old, "Ready"), (new, "Ready")]


def test_a_revision_that_can_not_start_is_rolled_back(desk: Client, trader: str) -> None:
    good = wait_steady(desk, trader)["status"]["revision"]
    apply(desk, with_code(strategy(trader), f"import nowhere\n{CODE}"))
    found = wait_reason(desk, trader, "RolledBack", kind="Progressing")
    assert "nowhere" in conditions(found)["Progressing"]["message"]
    found = wait(
        desk,
        trader,
        lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") == good,
        "the revision before does not run again",
    )
    assert revisions(found)[-1][1] == "RolledBack"
    apply(desk, with_params(strategy(trader), fast=5, slow=9))
    wait_reason(desk, trader, "Settled", kind="Progressing")
    assert wait_steady(desk, trader)["status"]["revision"] == good


def test_a_syntax_error_stops_nothing_that_runs(desk: Client, trader: str) -> None:
    wait_steady(desk, trader)
    before = get(desk, f"pod/{trader}-0")
    apply(desk, with_code(strategy(trader), "def broken(:\n"))
    found = wait_reason(desk, trader, "BadInput", kind="Progressing")
    assert "spec.strategy.code:1" in conditions(found)["Progressing"]["message"]
    wait_steady(desk, trader)
    after = get(desk, f"pod/{trader}-0")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert restarts(after) == restarts(before)
    apply(desk, with_params(strategy(trader), fast=5, slow=9))
    wait_reason(desk, trader, "Settled", kind="Progressing")


def test_suspend_and_resume(desk: Client, trader: str) -> None:
    suspend = {"spec": {"suspend": True}}
    desk.kubectl("patch", f"strat/{trader}", *IN, "--type=merge", "-p", json.dumps(suspend))
    found = wait_phase(desk, trader, "Suspended")
    assert conditions(found)["Ready"]["status"] == "False"
    assert not bots(desk, trader)
    suspend["spec"]["suspend"] = False
    desk.kubectl("patch", f"strat/{trader}", *IN, "--type=merge", "-p", json.dumps(suspend))
    wait_phase(desk, trader, "Running")


def test_halted_and_resumed_by_kubectl_sigma(desk: Client, trader: str) -> None:
    assert trader in desk.sigma(*IN, "status")
    desk.sigma(*IN, "halt", trader, "--reason", "strange fills")
    found = wait_phase(desk, trader, "Halted")
    halted = conditions(found)["Halted"]
    assert (halted["status"], conditions(found)["Ready"]["status"]) == ("True", "False")
    assert "strange fills" in halted["message"]
    desk.sigma(*IN, "resume", trader)
    found = wait_phase(desk, trader, "Running")
    assert conditions(found)["Halted"]["status"] == "False"
    assert "strange fills" in found["status"]["lastHalt"]["message"]
    assert "Ready=True" in desk.sigma(*IN, "report", trader)
    assert desk.sigma(*IN, "logs", trader)


def test_kubectl_sigma_without_a_bot(desk: Client) -> None:
    """Where none runs it makes a pod of its own."""
    apply(desk, strategy("sleeper", suspend=True, deletionPolicy="leave"))
    wait_phase(desk, "sleeper", "Suspended")
    patch = json.dumps({"spec": {"suspend": True}})
    desk.kubectl("patch", "strat/trader", *IN, "--type=merge", "-p", patch)
    wait_phase(desk, "trader", "Suspended")
    assert "trader" in desk.sigma(*IN, "status")
    desk.kubectl("patch", "strat/trader", *IN, "--type=merge", "-p", patch.replace("true", "false"))
    wait_phase(desk, "trader", "Running")
    delete(desk, "sleeper")


def test_the_operator_is_away_while_things_change(desk: Client, trader: str) -> None:
    operator = ("-l", "app.kubernetes.io/component=operator")
    scale = ("scale", "deployment/sigma-x-operator", "-n", RELEASE)
    old = wait_steady(desk, trader)["status"]["revision"]
    desk.kubectl(*scale, "--replicas=0")
    desk.kubectl("wait", "pods", "-n", RELEASE, *operator, "--for=delete", "--timeout=180s")
    apply(desk, with_params(strategy(trader), fast=4, slow=8), strategy("newcomer", suspend=True))
    desk.kubectl("delete", f"networkpolicy/{trader}", *IN)
    desk.kubectl(*scale, "--replicas=1")
    wait(desk, trader, lambda r: r["status"].get("revision") not in (None, old), "the change is not made")
    wait_steady(desk, trader)
    wait_phase(desk, "newcomer", "Suspended")
    desk.kubectl("get", f"networkpolicy/{trader}", *IN)
    delete(desk, "newcomer")


@pytest.mark.parametrize(
    ("name", "code", "params", "reason", "said"),
    [
        ("syntax", "class A(Strategy)\n    pass\n", {}, "BadInput", "spec.strategy.code:1"),
        ("param", CODE, {"fats": 5}, "BadInput", "did you mean 'fast'"),
        ("bounds", CODE, {"fast": -5}, "BadInput", "spec.strategy.params.fast"),
        ("module", f"import nowhere\n{CODE}", {}, "BadInput", "nowhere"),
    ],
)
def test_a_bad_strategy_is_told(
    desk: Client, name: str, code: str, params: Object, reason: str, said: str
) -> None:
    apply(desk, with_code(with_params(strategy(name, deletionPolicy="leave"), **params), code))
    began = time.monotonic()
    found = wait_reason(desk, name, reason)
    print(f"{name}: told after {time.monotonic() - began:.1f} s")
    assert said in conditions(found)["Ready"]["message"]
    assert found["status"]["phase"] == "Failed"
    delete(desk, name)


def test_an_image_that_is_not_there(desk: Client) -> None:
    """It is pulled after the account has got its login, and the kubelet takes its time to give up."""
    apply(desk, strategy("unpulled", deletionPolicy="leave", bot={"image": "localhost/none:1"}))
    began = time.monotonic()
    reasons = ("ErrImagePull", "ImagePullBackOff")
    found = wait(
        desk,
        "unpulled",
        lambda r: conditions(r).get("Ready", {}).get("reason") in reasons,
        "the missing image is not told",
    )
    print(f"image missing: told after {time.monotonic() - began:.1f} s")
    assert "the image can't be pulled" in conditions(found)["Ready"]["message"]
    assert found["status"]["phase"] == "Pending"
    apply(desk, strategy("unpulled", deletionPolicy="leave"))
    wait_phase(desk, "unpulled", "Running")
    delete(desk, "unpulled")


def test_a_missing_secret_is_told_and_followed_when_it_comes(desk: Client) -> None:
    manifest = strategy("keyless", deletionPolicy="leave")
    manifest["spec"]["account"]["secretRef"] = {"name": "late"}
    apply(desk, manifest)
    found = wait_reason(desk, "keyless", "SecretMissing")
    assert "late" in conditions(found)["Ready"]["message"]
    desk.kubectl(
        "create", "secret", "generic", "late", *IN, "--from-literal=apiKey=a", "--from-literal=secret=b"
    )
    wait_phase(desk, "keyless", "Running", 300)
    delete(desk, "keyless")


def test_deletion_cancels_by_a_job_and_leaves_nothing(desk: Client, until: Until) -> None:
    apply(desk, strategy("goner", deletionPolicy="cancel"))
    wait_phase(desk, "goner", "Running")
    print(f"deleted with its orders cancelled in {delete(desk, 'goner'):.1f} s")
    assert "'cancel' is done" in about(desk, "goner")
    left = "statefulsets,pods,jobs,configmaps,networkpolicies"
    until(lambda: "goner" not in desk.kubectl("get", left, *IN, "-o", "name"), "children are left behind")


def test_deletion_can_be_let_go_at_once(desk: Client) -> None:
    apply(desk, strategy("hurry", deletionPolicy="flatten", bot={"image": "localhost/none:1"}))
    wait_phase(desk, "hurry", "Pending")
    desk.kubectl("annotate", "strat/hurry", *IN, "sigma-x.io/skip-close=true")
    print(f"let go without a close in {delete(desk, 'hurry'):.1f} s")
    assert "CloseSkipped" in about(desk, "hurry")


@pytest.mark.parametrize("policy", ["drain", "flatten"])
def test_the_other_ways_to_change(desk: Client, policy: str) -> None:
    name = f"swaps-{policy}"
    manifest = strategy(name, swapPolicy=policy, deletionPolicy="leave")
    apply(desk, manifest)
    old = wait_phase(desk, name, "Running")["status"]["revision"]
    apply(desk, with_params(manifest, fast=3, slow=6))
    found = wait(
        desk,
        name,
        lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") not in (None, old),
        "the new revision does not run",
        300,  # drain: until the strategy happens to hold nothing
    )
    assert revisions(found)[-1][1] == "Ready"
    jobs = desk.kubectl("get", "jobs", *IN, "-l", f"sigma-x.io/strategy={name}", "-o", "name")
    assert bool(jobs) is (policy == "flatten")
    delete(desk, name)


def test_a_flatten_that_fails_is_told_and_stops_nobody(desk: Client) -> None:
    manifest = strategy("unclosed", swapPolicy="flatten", deletionPolicy="leave")
    apply(desk, manifest)
    old = wait_phase(desk, "unclosed", "Running")["status"]["revision"]
    desk.kubectl("create", "quota", "no-jobs", *IN, "--hard=count/jobs.batch=0")
    try:
        apply(desk, with_params(manifest, fast=3, slow=6))
        found = wait_reason(desk, "unclosed", "FlattenFailed", kind="Progressing")
        progress = conditions(found)["Progressing"]
        assert f"what {old} held was not closed" in progress["message"]
        assert "quota" in progress["message"]
        found = wait(
            desk,
            "unclosed",
            lambda r: r["status"]["phase"] == "Running" and r["status"].get("revision") not in (None, old),
            "the new revision does not run",
        )
        progress = conditions(found)["Progressing"]
        assert (progress["status"], progress["reason"]) == ("False", "FlattenFailed")
    finally:
        desk.kubectl("delete", "quota", "no-jobs", *IN)
    events = desk.kubectl("get", "events", *IN, "--field-selector=involvedObject.name=unclosed,type=Warning")
    assert events.count("FlattenFailed") == 1
    delete(desk, "unclosed")


def test_a_hundred_at_once(desk: Client, until: Until) -> None:
    names = [f"many-{number}" for number in range(100)]
    began = time.monotonic()
    apply(desk, *(strategy(name, suspend=True, deletionPolicy="leave") for name in names))

    def all_seen() -> bool:
        listed = json.loads(desk.kubectl("get", "strat", *IN, "-o", "json"))["items"]
        found = {s["metadata"]["name"]: s.get("status", {}).get("phase") for s in listed}
        return all(found.get(name) == "Suspended" for name in names)

    until(all_seen, "not all are reconciled")
    print(f"100 Strategies reconciled in {time.monotonic() - began:.1f} s")

    def made() -> int:
        return desk.kubectl("get", "statefulsets", *IN, "-o", "name").count("/many-")

    until(lambda: made() == 100, "not all have their objects")
    desk.kubectl("delete", "strat", *IN, *names, "--timeout=300s")


def test_deletion_is_never_stuck(desk: Client, stuck: str, until: Until) -> None:
    """The deadline began with the tests here."""
    find = ("get", f"strat/{stuck}", *IN, "--ignore-not-found", "-o", "name")
    until(lambda: not desk.kubectl(*find), "it is there for ever", 300)
    events = about(desk, stuck)
    assert "CloseDeadline" in events or "CloseFailed" in events, events


def test_the_operator_never_fell(desk: Client) -> None:
    """It has listed everything against its watches by now, and restarted only when it was told to."""
    selector = ("-n", RELEASE, "-l", "app.kubernetes.io/component=operator", "-o", "json")
    (pod,) = json.loads(desk.kubectl("get", "pods", *selector))["items"]
    (status,) = pod["status"]["containerStatuses"]
    assert status["restartCount"] == 0, status
