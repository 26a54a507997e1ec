"""Backtest resources on a real cluster: applied, run, reported, refused, deleted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from floor import RELEASE, copy_secret
from onenode.client import Client

from conftest import NAMESPACE, ROOT

Object = dict[str, Any]
# Every bar costs some time, so that a run can be watched.
SLOW = """
from sigma_bot import Strategy


class Slow(Strategy):
    count: int

    def on_bar(self, bar, broker):
        for number in range(20_000):
            if bar.close * number < -1.0:
                self.count += 1
"""
EXAMPLE = ROOT / "examples" / "ema-cross" / "backtest.yaml"
IN_NAMESPACE = ("-n", NAMESPACE)
# Everything a Backtest may leave behind; kube-root-ca.crt is in every namespace.
CHILDREN = "jobs,pods,configmaps,secrets,serviceaccounts"


def example(name: str = "ema-cross") -> Object:
    """The example under another name."""
    manifest: Object = yaml.safe_load(EXAMPLE.read_text())
    manifest["metadata"]["name"] = name
    return manifest


def raising(name: str) -> Object:
    """The example, its strategy raising once the price is above 500."""
    manifest = example(name)
    code: str = manifest["spec"]["strategy"]["code"]
    start = re.search(r"    def on_bar\(self, bar, broker\):\n", code)
    assert start is not None
    trouble = '        if bar.close > 500:\n            raise ValueError("too dear for me")\n'
    manifest["spec"]["strategy"]["code"] = code[: start.end()] + trouble + code[start.end() :]
    return manifest


def apply(cluster: Client, manifest: Object) -> None:
    cluster.kubectl("apply", *IN_NAMESPACE, "-f", "-", stdin=json.dumps(manifest))


def wait_for(cluster: Client, name: str, phase: str) -> Object:
    """The Backtest once it is finished, which must be in this phase."""
    get = ("get", f"backtest/{name}", *IN_NAMESPACE, "-o", "json")
    deadline = time.monotonic() + 300
    while True:
        found: Object = json.loads(cluster.kubectl(*get))
        now = found.get("status", {}).get("phase")
        if now in ("Complete", "Failed"):
            assert now == phase, found["status"]["conditions"]
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def names(cluster: Client) -> set[str]:
    return set(cluster.kubectl("get", CHILDREN, *IN_NAMESPACE, "-o", "name").split())


def conditions(resource: Object) -> dict[str, Object]:
    return {c["type"]: c for c in resource["status"]["conditions"]}


def test_the_example_completes_with_the_digest_of_the_command_line(
    desk: Client, host_digest: Callable[[Path], str]
) -> None:
    """With the very commands that the example names."""
    began = time.monotonic()
    desk.kubectl("apply", *IN_NAMESPACE, "-f", EXAMPLE)
    desk.kubectl("wait", "bt/ema-cross", *IN_NAMESPACE, "--for=condition=Complete", "--timeout=300s")
    resource = wait_for(desk, "ema-cross", "Complete")
    print(f"apply to Complete: {time.monotonic() - began:.1f} s")
    result = resource["status"]["result"]
    assert result["digest"] == host_digest(EXAMPLE)
    assert result["engine"] == "compiled"
    assert result["events"] > 1000
    assert float(result["metrics"]["total_return"]) != 0
    assert all(isinstance(value, str) for value in result["metrics"].values())
    assert conditions(resource)["Ready"]["status"] == "True"
    assert conditions(resource)["Failed"]["status"] == "False"
    assert resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
    table = desk.kubectl("get", "bt", *IN_NAMESPACE)
    assert "Complete" in table
    assert "ema-cross" in desk.kubectl("get", "sigma", *IN_NAMESPACE)


def test_a_strategy_that_raises_shows_the_users_line(desk: Client) -> None:
    manifest = raising("raises")
    apply(desk, manifest)
    resource = wait_for(desk, "raises", "Failed")
    failed = conditions(resource)["Failed"]
    assert failed["reason"] == "StrategyRaised"
    assert "too dear for me" in failed["message"]
    lines = manifest["spec"]["strategy"]["code"].splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "too dear" in line)
    assert str(number) in failed["message"]
    assert resource["status"]["phase"] == "Failed"
    assert conditions(resource)["Ready"]["status"] == "False"
    pods = json.loads(desk.kubectl("get", "pods", *IN_NAMESPACE, "-o", "json"))["items"]
    assert len(pods) == 1, "a strategy that failed is not run again"


def test_what_only_the_types_can_check_fails_with_its_reason(desk: Client) -> None:
    manifest = example("typo")
    manifest["spec"]["strategy"]["params"] = {"fast": ["12"]}
    apply(desk, manifest)
    failed = conditions(wait_for(desk, "typo", "Failed"))["Failed"]
    assert failed["reason"] == "BadInput"
    assert "spec.strategy.params.fast" in failed["message"]
    assert not [name for name in names(desk) if name.startswith("job")]


def test_deletion_leaves_nothing(desk: Client, until: Callable[..., None]) -> None:
    before = names(desk)
    apply(desk, example())
    wait_for(desk, "ema-cross", "Complete")
    assert len(names(desk)) > len(before)
    desk.kubectl("delete", "backtest/ema-cross", *IN_NAMESPACE, "--timeout=120s")
    until(lambda: names(desk) == before, "children are left behind")


def test_deletion_while_it_runs_leaves_nothing(desk: Client, until: Callable[..., None]) -> None:
    before = names(desk)
    apply(desk, example("short"))
    until(lambda: "pod/short" in " ".join(names(desk)), "no pod was made")
    desk.kubectl("delete", "backtest/short", *IN_NAMESPACE, "--timeout=120s")
    until(lambda: names(desk) == before, "children are left behind")


def test_goes_on_after_the_operator_was_killed(desk: Client) -> None:
    apply(desk, example("survivor"))
    operator = ("-n", RELEASE, "-l", "app.kubernetes.io/component=operator")
    desk.kubectl("delete", "pods", *operator, "--grace-period=0", "--force")
    assert wait_for(desk, "survivor", "Complete")["status"]["result"]["digest"]
    selector = ("-l", "sigma-x.io/backtest=survivor")
    assert len(desk.kubectl("get", "pods", *IN_NAMESPACE, *selector, "-o", "name").split()) == 1


def test_a_job_deleted_by_hand_is_made_again(desk: Client, until: Callable[..., None]) -> None:
    apply(desk, example("again"))
    until(lambda: desk.try_kubectl("get", "job/again", *IN_NAMESPACE, "-o", "name"), "no job was made")
    desk.kubectl("delete", "job/again", *IN_NAMESPACE)
    assert wait_for(desk, "again", "Complete")["status"]["phase"] == "Complete"


def test_a_foreign_job_is_left_alone(desk: Client, until: Callable[..., None]) -> None:
    container = {
        "name": "c",
        "image": "localhost/none",
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken"}, "spec": spec}
    apply(desk, job)
    apply(desk, example("taken"))

    def reason() -> str:
        path = '{.status.conditions[?(@.type=="Ready")].reason}'
        return desk.kubectl("get", "backtest/taken", *IN_NAMESPACE, "-o", f"jsonpath={path}")

    until(lambda: reason() == "NameConflict", "the conflict is not reported")
    owners = desk.kubectl("get", "job/taken", *IN_NAMESPACE, "-o", "jsonpath={.metadata.ownerReferences}")
    assert not owners


def test_spec_cannot_be_changed(desk: Client) -> None:
    apply(desk, example("fixed"))
    manifest = example("fixed")
    manifest["spec"]["account"]["cash"] = "1"
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        apply(desk, manifest)
    assert "spec can't be changed" in refusal.value.stderr
    apply(desk, example("fixed"))


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("list", "backtests.sigma-x.io", True),
        ("patch", "backtests.sigma-x.io/status", True),
        ("patch", "backtests.sigma-x.io", False),
        ("update", "backtests.sigma-x.io", False),
        ("delete", "backtests.sigma-x.io", False),
        ("create", "jobs.batch", True),
        ("delete", "jobs.batch", False),
        ("create", "configmaps", True),
        ("list", "configmaps", False),
        ("list", "pods", True),
        ("create", "pods", False),
        ("create", "pods/exec", False),
        ("get", "secrets", False),
        ("list", "secrets", False),
        ("create", "serviceaccounts/token", False),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", False),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", False),
    ],
)
def test_rights_of_the_operator(installed: Client, verb: str, resource: str, allowed: bool) -> None:
    who = "--as=system:serviceaccount:sigma:sigma-x-operator"
    kind, _, part = resource.partition("/")
    try:
        answer = installed.kubectl("auth", "can-i", verb, kind, f"--subresource={part}", who, "-n", "default")
    except subprocess.CalledProcessError as no:
        answer = no.stdout
    assert (answer.strip() == "yes") is allowed


def test_a_suspended_backtest_waits_and_runs_later(desk: Client, until: Callable[..., None]) -> None:
    manifest = example("waits")
    manifest["spec"]["suspend"] = True
    apply(desk, manifest)
    get = ("get", "backtest/waits", *IN_NAMESPACE, "-o", "jsonpath={.status.phase}")
    until(lambda: desk.kubectl(*get) == "Suspended", "is not suspended")
    assert "pod/" not in " ".join(names(desk))
    manifest["spec"]["suspend"] = False
    apply(desk, manifest)
    assert wait_for(desk, "waits", "Complete")["status"]["result"]["digest"]


def test_data_from_a_config_map(desk: Client, tmp_path: Path, host_digest: Callable[[Path], str]) -> None:
    rows = ["time,open,high,low,close,volume"]
    for day in range(1, 29):
        price = 100 + day % 7
        rows.append(f"2024-01-{day:02},{price},{price + 2},{price - 2},{price + 1},1000")
    bars = tmp_path / "bars.csv"
    bars.write_text("\n".join(rows) + "\n")
    manifest = example("mapped")
    manifest["spec"]["data"] = {"source": "file", "path": str(bars), "timezone": "UTC"}
    manifest["spec"]["strategy"]["params"] = {"fast": 2, "slow": 4}
    here = tmp_path / "backtest.yaml"
    here.write_text(yaml.safe_dump(manifest))
    desk.kubectl("create", "configmap", "bars", *IN_NAMESPACE, f"--from-file={bars}")
    manifest["spec"]["data"]["path"] = "/data/bars.csv"
    manifest["spec"]["job"] = {"dataConfigMap": "bars", "cpu": "200m", "memory": "1Gi"}
    apply(desk, manifest)
    result = wait_for(desk, "mapped", "Complete")["status"]["result"]
    assert result["digest"] == host_digest(here)


@pytest.fixture
def results(desk: Client) -> Client:
    """The namespace with the address of the database for results."""
    copy_secret(desk, "sigma-x-results", NAMESPACE)
    return desk


def test_a_run_says_how_far_it_is_and_where_its_report_is(
    results: Client, tmp_path: Path, until: Callable[..., None]
) -> None:
    manifest = example("slow")
    manifest["spec"]["strategy"]["code"] = SLOW
    manifest["spec"]["strategy"]["params"] = {}
    manifest["spec"]["markets"] = [{"symbol": "AAA", "lotSize": "0.001"}]
    manifest["spec"]["data"] = {"source": "synthetic", "kind": "bars"}
    manifest["spec"]["period"] = {"from": "2024-01-01", "to": "2025-01-01"}
    apply(results, manifest)
    get = ("get", "backtest/slow", *IN_NAMESPACE, "-o", "json")
    seen: set[int] = set()
    scores: set[str] = set()

    def over() -> bool:
        status = json.loads(results.kubectl(*get)).get("status", {})
        if "progress" in status:
            assert status["phase"] == "Running"
            assert 0 < status["progress"]["done"] <= status["progress"]["total"]
            seen.add(status["progress"]["percent"])
            if not scores:
                look = ("sh", "-c", "cat /proc/[0-9]*/oom_score_adj")
                scores.update(results.kubectl("exec", *IN_NAMESPACE, "job/slow", "--", *look).split())
        return status.get("phase") in ("Complete", "Failed")

    until(over, "is not over", 600)
    status = wait_for(results, "slow", "Complete")["status"]
    print(f"progress seen: {sorted(seen)} per cent; {status['result']['seconds']}")
    assert seen
    assert "1000" in scores, "where memory is short it gives way"
    assert "progress" not in status
    assert status["report"] == f"kubectl sigma -n {NAMESPACE} report slow --html slow.html"
    report = tmp_path / "slow.html"
    assert f"report: {report}" in results.sigma(*IN_NAMESPACE, "report", "slow", "--html", str(report))
    text = report.read_text()
    assert text.rstrip().endswith("</html>")
    assert status["result"]["digest"] in text
    assert status["result"]["run"] in results.sigma(*IN_NAMESPACE, "report", "slow")


def test_a_sweep_whose_pod_is_killed_finds_what_one_process_finds(
    results: Client, until: Callable[..., None]
) -> None:
    manifest = example("sweeps")
    manifest["spec"]["sweep"] = {"parameters": {"fast": "5:40", "slow": "45:95:5"}, "shards": 3}
    began = time.monotonic()
    apply(results, manifest)
    second = ("-l", "batch.kubernetes.io/job-completion-index=1", *IN_NAMESPACE)
    phase = ("get", "pods", *second, "-o", "jsonpath={.items[*].status.phase}")
    until(lambda: results.kubectl(*phase) in ("Running", "Succeeded"), "the second part does not run")
    results.kubectl("delete", "pods", *second, "--grace-period=1")
    result = wait_for(results, "sweeps", "Complete")["status"]["result"]
    print(f"sweep of 396 runs in 3 parts, one killed: {time.monotonic() - began:.1f} s")
    space = ["--param", "fast=5:40", "--param", "slow=45:95:5", "--no-store", "--output", "json"]
    command = [sys.executable, "-m", "sigma_bot.cli.main", "sweep", str(EXAMPLE), *space]
    whole = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT / "bot").stdout)
    assert result["digest"] == whole["digest"]
    assert {name: float(value) for name, value in result["best"].items()} == whole["best"]["params"]
    assert result["counts"]["trials"] == whole["trials"] == 396
