"""A resource as the objects that carry it out. Pure: the same resource and settings give the same objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sigma_bot.spec.pods import JobOptions
from sigma_bot.spec.sweep import Sweep
from sigma_bot.spec.units import Duration
from sigma_bot.times import SECOND
from sigma_operator.kubernetes.objects import (
    Object,
    common_labels,
    container_security,
    content_hash,
    metadata,
    pod_security,
    resources,
)
from sigma_operator.settings import BACKTEST_LABEL, GROUP, VERSION, BacktestSettings

CONTAINER = "backtest"
MANIFEST = "backtest.yaml"
SHARD, MERGE = "--shard", "--merge"  # what a pod of a sweep does, as sigma_bot.container.job knows it
PROGRESS_PORT = 8080  # where a pod says how far it is
BAD_INPUT, RAISED, INTERRUPTED = 2, 3, 130  # exit codes of `sigma backtest`


def child_labels(name: str) -> dict[str, str]:
    """Labels of a Backtest's children."""
    return common_labels(name, "backtest", BACKTEST_LABEL)


def is_suspended(resource: Mapping[str, Any]) -> bool:
    """Whether the run is to wait."""
    return bool(resource["spec"].get("suspend"))


def manifest(resource: Mapping[str, Any]) -> Object:
    """What the command line in the pod reads: the resource without what the cluster added. A pod has no
    folder that an HTML report could stay in, so it is not asked to write one."""
    spec = {**resource["spec"], "report": {**resource["spec"].get("report", {})}}
    spec["report"].pop("html", None)
    for name in ("job", "suspend"):
        spec.pop(name, None)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": resource["kind"],
        "metadata": {"name": resource["metadata"]["name"]},
        "spec": spec,
    }


def config_map(resource: Mapping[str, Any]) -> Object:
    """Manifest and code, named by their content and unchangeable: what a pod reads is what its name says."""
    data = {MANIFEST: json.dumps(manifest(resource), indent=1)}
    name = resource["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(resource, f"{name}-{content_hash(data)}", child_labels(name)),
        "immutable": True,
        "data": data,
    }


def _data_volume(options: JobOptions, settings: BacktestSettings) -> Object | None:
    """What lies at /data: what the Backtest names, else the installation's claim."""
    if options.data_config_map is not None:
        return {"name": "data", "configMap": {"name": options.data_config_map}}
    claim = options.data_claim or settings.data_claim
    if not claim:
        return None
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def reads_database(resource: Mapping[str, Any], settings: BacktestSettings) -> bool:
    """Whether the run reads the catalogue in the database: that is where it is when nothing lies at /data."""
    source = resource["spec"].get("data", {}).get("source")
    return source == "catalogue" and _data_volume(_options(resource), settings) is None


def sweep_of(resource: Mapping[str, Any]) -> Sweep | None:
    """The resource's sweep, if it is one."""
    given = resource["spec"].get("sweep")
    return None if given is None else Sweep.model_validate(given)


def _environment(resource: Mapping[str, Any], settings: BacktestSettings, part: str) -> list[Object]:
    """``SIGMA_DATA`` is where `source: catalogue` looks. Results may stay in the status alone, those of a
    part may not."""
    out: list[Object] = [
        {"name": "HOME", "value": "/tmp"},
        {"name": "SIGMA_PROGRESS_PORT", "value": str(PROGRESS_PORT)},
    ]
    if settings.results and reads_database(resource, settings):
        out.append(_database_url("SIGMA_DATA", settings, needed=True))
    elif _data_volume(_options(resource), settings) is not None:
        out.append({"name": "SIGMA_DATA", "value": "/data"})
    if settings.results:
        out.append(_database_url("SIGMA_DATABASE_URL", settings, needed=bool(part)))
    return out


def _database_url(variable: str, settings: BacktestSettings, *, needed: bool) -> Object:
    reference = {"name": settings.results, "key": "database-url", "optional": not needed}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _container(resource: Mapping[str, Any], settings: BacktestSettings, data: bool, part: str) -> Object:
    options = _options(resource)
    mounts: list[Object] = [
        {"name": "config", "mountPath": "/etc/sigma", "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    if data:
        mounts.append({"name": "data", "mountPath": "/data", "readOnly": True})
    return {
        "name": CONTAINER,
        "image": options.image or settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": [f"/etc/sigma/{MANIFEST}", *([part] if part else [])],
        "workingDir": "/tmp",
        "env": _environment(resource, settings, part),
        "resources": resources(settings.resources, options.cpu, options.memory),
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def pod_spec(resource: Mapping[str, Any], settings: BacktestSettings, config: str, part: str = "") -> Object:
    """The pod's spec: the `restricted` standard, no token, nothing writable but a scratch folder."""
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": config}},
        {"name": "scratch", "emptyDir": {"sizeLimit": settings.scratch}},
    ]
    data = _data_volume(_options(resource), settings)
    if data is not None:
        volumes.append(data)
    out: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": pod_security(),
        "containers": [_container(resource, settings, data is not None, part)],
        "volumes": volumes,
    }
    if settings.priority_class:
        out["priorityClassName"] = settings.priority_class
    if settings.pull_secrets:
        out["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return out


def _seconds(given: Duration | None, default: int) -> int:
    return default if given is None else -(-given.ns // SECOND)


def job(resource: Mapping[str, Any], settings: BacktestSettings, config: str) -> Object:
    """The Job. Only what the machine broke off is repeated: an answer of the command line, good or bad, is
    final. A sweep has an index for each of its parts; one whose pod is lost is run again by itself."""
    options, sweep = _options(resource), sweep_of(resource)
    pod = pod_spec(resource, settings, config, SHARD if sweep else "")
    out = _job(resource, settings, job_name(resource), pod)
    retries = settings.retries if options.retries is None else options.retries
    if sweep is None:
        out["spec"] |= {"backoffLimit": retries, "podFailurePolicy": _pod_failure_policy(INTERRUPTED, 137)}
    else:
        parts = {"completions": sweep.shards, "parallelism": sweep.shards, "completionMode": "Indexed"}
        out["spec"] |= parts | {"backoffLimitPerIndex": retries, "podFailurePolicy": _pod_failure_policy()}
    if is_suspended(resource):
        out["spec"]["suspend"] = True
    return out


def merge_job(resource: Mapping[str, Any], settings: BacktestSettings) -> Object:
    """The Job that joins the parts of a sweep into what one process would have found."""
    config = config_map(resource)["metadata"]["name"]
    out = _job(resource, settings, merge_name(resource), pod_spec(resource, settings, config, MERGE))
    out["spec"] |= {"backoffLimit": settings.retries, "podFailurePolicy": _pod_failure_policy()}
    return out


def _options(resource: Mapping[str, Any]) -> JobOptions:
    return JobOptions.model_validate(resource["spec"].get("job", {}))


def _pod_failure_policy(*also: int) -> Object:
    final = {"operator": "In", "containerName": CONTAINER, "values": [1, BAD_INPUT, RAISED, *also]}
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    ignored = {"action": "Ignore", "onPodConditions": disrupted}
    return {"rules": [ignored, {"action": "FailJob", "onExitCodes": final}]}


def _job(resource: Mapping[str, Any], settings: BacktestSettings, name: str, pod: Object) -> Object:
    labels, options = child_labels(resource["metadata"]["name"]), _options(resource)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(resource, name, labels),
        "spec": {
            "activeDeadlineSeconds": _seconds(options.deadline, settings.deadline),
            "ttlSecondsAfterFinished": _seconds(options.ttl, settings.keep),
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def suspend_patch(resource: Mapping[str, Any]) -> Object:
    """The one field of the Job that changes: the rest of it can't."""
    meta = resource["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(resource), "namespace": meta["namespace"]},
        "spec": {"suspend": is_suspended(resource)},
    }


def job_name(resource: Mapping[str, Any]) -> str:
    return str(resource["metadata"]["name"])


def merge_name(resource: Mapping[str, Any]) -> str:
    """Name of the Job that joins the parts of a sweep."""
    return f"{job_name(resource)}-merge"


def children(resource: Mapping[str, Any], settings: BacktestSettings) -> list[Object]:
    """Every object of a Backtest, in the order in which they are made."""
    config = config_map(resource)
    return [config, job(resource, settings, config["metadata"]["name"])]
