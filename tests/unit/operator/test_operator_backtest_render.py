"""A Backtest as ConfigMap and Job."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.spec import parse_manifest
from sigma_operator.backtest.render import MANIFEST, children, config_map, manifest, merge_job, suspend_patch
from sigma_operator.settings import BacktestSettings, Settings

Object = dict[str, Any]


@pytest.fixture
def rendered(backtest: Object) -> tuple[Object, Object]:
    config, job = children(backtest, BacktestSettings(priority_class="low"))
    return config, job


def test_job_reads_the_config_map_made_beside_it(rendered: tuple[Object, Object]) -> None:
    config, job = rendered
    volumes = {v["name"]: v for v in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == [f"/etc/sigma/{MANIFEST}"]
    assert list(config["data"]) == [MANIFEST]


def test_children_belong_to_the_backtest(backtest: Object, rendered: tuple[Object, Object]) -> None:
    for child in rendered:
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == backtest["metadata"]["uid"]
        assert owner["controller"] is True
        assert child["metadata"]["namespace"] == "desk"
        assert child["metadata"]["labels"]["sigma-x.io/backtest"] == "ema"


def test_pod_meets_the_restricted_standard(rendered: tuple[Object, Object]) -> None:
    pod = rendered[1]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    inner = pod["containers"][0]["securityContext"]
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert pod["priorityClassName"] == "low"


def test_what_the_command_line_answers_is_final(rendered: tuple[Object, Object]) -> None:
    spec = rendered[1]["spec"]
    disruption, answer = spec["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    assert answer["action"] == "FailJob"
    assert {2, 3} <= set(answer["onExitCodes"]["values"])
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_manifest_in_the_pod_is_what_was_applied(backtest: Object) -> None:
    read = yaml.safe_load(config_map(backtest)["data"][MANIFEST])
    assert read == manifest(backtest)
    assert read["spec"]["strategy"] == backtest["spec"]["strategy"]
    assert read["metadata"] == {"name": "ema"}
    assert "html" not in read["spec"]["report"]
    assert backtest["spec"]["report"] == {"html": "report.html"}, "the resource itself is left alone"
    parse_manifest(read)


def test_another_content_is_another_config_map(backtest: Object) -> None:
    first = config_map(backtest)
    assert config_map(json.loads(json.dumps(backtest)))["metadata"]["name"] == first["metadata"]["name"]
    backtest["spec"]["strategy"]["params"]["fast"] = 4
    assert config_map(backtest)["metadata"]["name"] != first["metadata"]["name"]
    assert first["immutable"] is True


@given(code=st.text(min_size=1, max_size=200))
def test_any_code_arrives_unchanged(code: str) -> None:
    resource = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "a", "namespace": "b", "uid": "c"},
        "spec": {"strategy": {"code": code}},
    }
    read = json.loads(config_map(resource)["data"][MANIFEST])
    assert read["spec"]["strategy"]["code"] == code


def test_market_data_are_mounted_read_only(backtest: Object) -> None:
    job = children(backtest, BacktestSettings(data_claim="bars"))[1]
    pod = job["spec"]["template"]["spec"]
    assert {"name": "data", "mountPath": "/data", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    catalogue = {"name": "SIGMA_DATA", "value": "/data"}
    assert catalogue in pod["containers"][0]["env"]
    bare = children(backtest, BacktestSettings())[1]["spec"]["template"]["spec"]["containers"][0]
    assert catalogue not in bare["env"]
    claim = {"claimName": "bars", "readOnly": True}
    assert {"name": "data", "persistentVolumeClaim": claim} in pod["volumes"]


def test_settings_come_from_the_environment() -> None:
    given_settings = {"image": "x:1", "pull_secrets": ["a"], "deadline": 5}
    settings = Settings.from_environment(
        {"SIGMA_NAMESPACES": "a,b", "SIGMA_BACKTEST": json.dumps(given_settings)}
    )
    assert settings.namespaces == ("a", "b")
    assert settings.backtest == BacktestSettings(image="x:1", pull_secrets=("a",), deadline=5)
    assert Settings.from_environment({}) == Settings()


def test_its_own_size_time_and_data_come_first(backtest: Object) -> None:
    backtest["spec"]["job"] = {
        "image": "ghcr.io/me/run:1",
        "cpu": "2",
        "memory": "8Gi",
        "deadline": "90m",
        "retries": 0,
        "ttl": "1h",
        "dataConfigMap": "bars",
    }
    job = children(backtest, BacktestSettings(data_claim="everybody"))[1]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (
        5400,
        0,
        3600,
    )
    pod = job["template"]["spec"]
    assert pod["containers"][0]["image"] == "ghcr.io/me/run:1"
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"cpu": "3", "memory": "8Gi"},
    }
    assert {"name": "data", "configMap": {"name": "bars"}} in pod["volumes"]
    assert "job" not in config_map(backtest)["data"][MANIFEST], "what runs it is no part of what is run"


@pytest.mark.parametrize(
    ("asked", "most"), [("500m", "3"), ("3000m", "3"), ("3001m", "3001m"), ("8", "8"), (None, "3")]
)
def test_the_limit_of_processors_gives_way_to_who_asks_for_more(
    backtest: Object, asked: str | None, most: str
) -> None:
    backtest["spec"]["job"] = {} if asked is None else {"cpu": asked}
    container = children(backtest, BacktestSettings())[1]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": most, "memory": "4Gi"}
    assert container["resources"]["requests"]["cpu"] == (asked or "100m")


def test_a_suspended_run_is_the_same_run(backtest: Object) -> None:
    config, job = children(backtest, BacktestSettings())
    backtest["spec"]["suspend"] = True
    waiting = children(backtest, BacktestSettings())
    assert waiting[0] == config
    assert waiting[1]["spec"] == job["spec"] | {"suspend": True}
    assert suspend_patch(backtest)["spec"] == {"suspend": True}


def test_a_sweep_runs_in_parts_that_are_joined(backtest: Object) -> None:
    backtest["spec"]["sweep"] = {"parameters": {"fast": "2:9"}, "shards": 3}
    settings = BacktestSettings(results="results")
    job, merge = children(backtest, settings)[1], merge_job(backtest, settings)
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert "backoffLimit" not in job["spec"]
    codes = job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
    assert 137 not in codes, "a part whose pod was killed is run again"
    arguments = [made["spec"]["template"]["spec"]["containers"][0]["args"][-1] for made in (job, merge)]
    assert arguments == ["--shard", "--merge"]
    for made in (job, merge):
        variables = {v["name"]: v for v in made["spec"]["template"]["spec"]["containers"][0]["env"]}
        reference = variables["SIGMA_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "results", "key": "database-url", "optional": False}


def test_a_single_run_does_without_a_database(backtest: Object) -> None:
    container = children(backtest, BacktestSettings(results="results"))[1]["spec"]["template"]["spec"]
    (variable,) = [v for v in container["containers"][0]["env"] if v["name"] == "SIGMA_DATABASE_URL"]
    assert variable["valueFrom"]["secretKeyRef"]["optional"] is True
