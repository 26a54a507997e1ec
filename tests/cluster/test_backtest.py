"""Backtest resources on a real cluster: applied, run, reported, refused, deleted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import Object
from tests.cluster.backtests import EXAMPLE, example, wait_for
from tests.cluster.namespace import RELEASE, Namespace, conditions
from tests.cluster.onenode.client import Client
from tests.cluster.onenode.tools import ROOT

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
# Everything a Backtest may leave behind; kube-root-ca.crt is in every namespace.
CHILDREN = ("job", "pod", "configmap", "secret", "serviceaccount")


def raising(name: str) -> Object:
    """The example, its strategy raising once the price is above 500."""
    manifest = example(name)
    code: str = manifest["spec"]["strategy"]["code"]
    start = re.search(r"    def on_bar\(self, bar, broker\):\n", code)
    assert start is not None
    trouble = '        if bar.close > 500:\n            raise ValueError("too dear for me")\n'
    manifest["spec"]["strategy"]["code"] = code[: start.end()] + trouble + code[start.end() :]
    return manifest


def names(workspace: Namespace) -> set[str]:
    """Every child that is there, as kind/name."""
    return {f"{kind}/{child['metadata']['name']}" for kind in CHILDREN for child in workspace.list(kind)}


def test_the_example_completes_with_the_digest_of_the_command_line(
    workspace: Namespace, host_digest: Callable[[Path], str]
) -> None:
    """With the very commands that the example names."""
    began = time.monotonic()
    workspace.kubectl("apply", "-f", EXAMPLE)
    workspace.kubectl("wait", "bt/ema-cross", "--for=condition=Complete", "--timeout=300s")
    resource = wait_for(workspace, "ema-cross", "Complete")
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
    table = workspace.kubectl("get", "bt")
    assert "Complete" in table
    assert "ema-cross" in workspace.kubectl("get", "sigma")


def test_a_strategy_that_raises_shows_the_users_line(workspace: Namespace) -> None:
    manifest = raising("raises")
    workspace.apply(manifest)
    resource = wait_for(workspace, "raises", "Failed")
    failed = conditions(resource)["Failed"]
    assert failed["reason"] == "StrategyRaised"
    assert "too dear for me" in failed["message"]
    lines = manifest["spec"]["strategy"]["code"].splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "too dear" in line)
    assert str(number) in failed["message"]
    assert resource["status"]["phase"] == "Failed"
    assert conditions(resource)["Ready"]["status"] == "False"
    assert len(workspace.list("pod")) == 1, "a strategy that failed is not run again"


def test_what_only_the_types_can_check_fails_with_its_reason(workspace: Namespace) -> None:
    manifest = example("typo")
    manifest["spec"]["strategy"]["params"] = {"fast": ["12"]}
    workspace.apply(manifest)
    failed = conditions(wait_for(workspace, "typo", "Failed"))["Failed"]
    assert failed["reason"] == "BadInput"
    assert "spec.strategy.params.fast" in failed["message"]
    assert not [name for name in names(workspace) if name.startswith("job")]


def test_deletion_leaves_nothing(workspace: Namespace) -> None:
    before = names(workspace)
    workspace.apply(example())
    wait_for(workspace, "ema-cross", "Complete")
    assert len(names(workspace)) > len(before)
    workspace.kubectl("delete", "backtest/ema-cross", "--timeout=120s")
    workspace.wait_until(lambda: names(workspace) == before, "children are left behind")


def test_deletion_while_it_runs_leaves_nothing(workspace: Namespace) -> None:
    before = names(workspace)
    workspace.apply(example("short"))
    workspace.wait_until(lambda: "pod/short" in " ".join(names(workspace)), "no pod was made")
    workspace.kubectl("delete", "backtest/short", "--timeout=120s")
    workspace.wait_until(lambda: names(workspace) == before, "children are left behind")


def test_goes_on_after_the_operator_was_killed(workspace: Namespace) -> None:
    workspace.apply(example("survivor"))
    operator = ("-n", RELEASE, "-l", "app.kubernetes.io/component=operator")
    workspace.kubectl("delete", "pods", *operator, "--grace-period=0", "--force")
    assert wait_for(workspace, "survivor", "Complete")["status"]["result"]["digest"]
    assert len(workspace.list("pod", "sigma-x.io/backtest=survivor")) == 1


def test_a_job_deleted_by_hand_is_made_again(workspace: Namespace) -> None:
    workspace.apply(example("again"))
    workspace.wait_until(lambda: workspace.find("job/again"), "no job was made")
    workspace.kubectl("delete", "job/again")
    assert wait_for(workspace, "again", "Complete")["status"]["phase"] == "Complete"


def test_a_foreign_job_is_left_alone(workspace: Namespace) -> None:
    container = {
        "name": "c",
        "image": "localhost/none",
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken"}, "spec": spec}
    workspace.apply(job)
    workspace.apply(example("taken"))

    def reason() -> str:
        return str(conditions(workspace.get("backtest/taken")).get("Ready", {}).get("reason"))

    workspace.wait_until(lambda: reason() == "NameConflict", "the conflict is not reported")
    assert not workspace.get("job/taken")["metadata"].get("ownerReferences")


def test_spec_cannot_be_changed(workspace: Namespace) -> None:
    workspace.apply(example("fixed"))
    manifest = example("fixed")
    manifest["spec"]["account"]["cash"] = "1"
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        workspace.apply(manifest)
    assert "spec can't be changed" in refusal.value.stderr
    workspace.apply(example("fixed"))


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
    operator = "system:serviceaccount:sigma:sigma-x-operator"
    assert installed.api.may(operator, verb, resource, "default") is allowed


def test_a_suspended_backtest_waits_and_runs_later(workspace: Namespace) -> None:
    manifest = example("waits")
    manifest["spec"]["suspend"] = True
    workspace.apply(manifest)

    def suspended() -> bool:
        return workspace.get("backtest/waits").get("status", {}).get("phase") == "Suspended"

    workspace.wait_until(suspended, "is not suspended")
    assert "pod/" not in " ".join(names(workspace))
    manifest["spec"]["suspend"] = False
    workspace.apply(manifest)
    assert wait_for(workspace, "waits", "Complete")["status"]["result"]["digest"]


def test_data_from_a_config_map(
    workspace: Namespace, tmp_path: Path, host_digest: Callable[[Path], str]
) -> None:
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
    workspace.kubectl("create", "configmap", "bars", f"--from-file={bars}")
    manifest["spec"]["data"]["path"] = "/data/bars.csv"
    manifest["spec"]["job"] = {"dataConfigMap": "bars", "cpu": "200m", "memory": "1Gi"}
    workspace.apply(manifest)
    result = wait_for(workspace, "mapped", "Complete")["status"]["result"]
    assert result["digest"] == host_digest(here)


@pytest.fixture
def results(workspace: Namespace) -> Namespace:
    """The namespace with the address of the database for results."""
    workspace.copy_secret("sigma-x-results")
    return workspace


def test_a_run_says_how_far_it_is_and_where_its_report_is(results: Namespace, tmp_path: Path) -> None:
    manifest = example("slow")
    manifest["spec"]["strategy"]["code"] = SLOW
    manifest["spec"]["strategy"]["params"] = {}
    manifest["spec"]["markets"] = [{"symbol": "AAA", "lotSize": "0.001"}]
    manifest["spec"]["data"] = {"source": "synthetic", "kind": "bars"}
    # Long enough for several looks of the operator, which are five seconds apart, on a fast machine too.
    manifest["spec"]["period"] = {"from": "2022-01-01", "to": "2025-01-01"}
    results.apply(manifest)
    seen: set[int] = set()
    scores: set[str] = set()

    def over() -> bool:
        status = results.get("backtest/slow").get("status", {})
        if "progress" in status:
            assert status["phase"] == "Running"
            assert 0 < status["progress"]["done"] <= status["progress"]["total"]
            seen.add(status["progress"]["percent"])
            if not scores:
                # Neither a process nor a run that has just ended is a fault.
                look = ("sh", "-c", "cat /proc/[0-9]*/oom_score_adj 2>/dev/null || true")
                scores.update(results.try_kubectl("exec", "job/slow", "--", *look).split())
        return status.get("phase") in ("Complete", "Failed")

    results.wait_until(over, "is not over", 600)
    status = wait_for(results, "slow", "Complete")["status"]
    print(f"progress seen: {sorted(seen)} per cent; {status['result']['seconds']}")
    assert seen
    assert "1000" in scores, "where memory is short it gives way"
    assert "progress" not in status
    assert status["report"] == f"kubectl sigma -n {results.name} report slow --html slow.html"
    report = tmp_path / "slow.html"
    assert f"report: {report}" in results.sigma("report", "slow", "--html", str(report))
    text = report.read_text()
    assert text.rstrip().endswith("</html>")
    assert status["result"]["digest"] in text
    assert status["result"]["run"] in results.sigma("report", "slow")


def test_a_sweep_whose_pod_is_killed_finds_what_one_process_finds(results: Namespace) -> None:
    manifest = example("sweeps")
    manifest["spec"]["sweep"] = {"parameters": {"fast": "5:40", "slow": "45:95:5"}, "shards": 3}
    began = time.monotonic()
    results.apply(manifest)
    second = "batch.kubernetes.io/job-completion-index=1"

    def runs() -> bool:
        return [pod["status"]["phase"] for pod in results.list("pod", second)] in (["Running"], ["Succeeded"])

    results.wait_until(runs, "the second part does not run")
    results.kubectl("delete", "pods", "-l", second, "--grace-period=1")
    result = wait_for(results, "sweeps", "Complete")["status"]["result"]
    print(f"sweep of 396 runs in 3 parts, one killed: {time.monotonic() - began:.1f} s")
    space = ["--param", "fast=5:40", "--param", "slow=45:95:5", "--no-store", "--output", "json"]
    command = [sys.executable, "-m", "sigma_bot.cli.main", "sweep", str(EXAMPLE), *space]
    whole = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT / "bot").stdout)
    assert result["digest"] == whole["digest"]
    assert {name: float(value) for name, value in result["best"].items()} == whole["best"]["params"]
    assert result["counts"]["trials"] == whole["trials"] == 396
