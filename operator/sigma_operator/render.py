"""A resource as the objects that carry it out. Pure: the same resource and settings give the same objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sigma_bot.spec.pods import JobOptions
from sigma_bot.spec.units import SECOND, Duration
from sigma_operator.objects import (
    Object,
    container_security,
    content_hash,
    labels,
    metadata,
    pod_security,
    resources,
)
from sigma_operator.settings import BACKTEST_LABEL, GROUP, VERSION, BacktestSettings

CONTAINER = "backtest"
MANIFEST = "backtest.yaml"
BAD_INPUT, RAISED, INTERRUPTED = 2, 3, 130  # exit codes of `sigma backtest`


def marks(name: str) -> dict[str, str]:
    """Labels of a Backtest's children."""
    return labels(name, "backtest", BACKTEST_LABEL)


def suspended(resource: Mapping[str, Any]) -> bool:
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
        "metadata": metadata(resource, f"{name}-{content_hash(data)}", marks(name)),
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


def _container(options: JobOptions, settings: BacktestSettings, data: bool) -> Object:
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
        "args": [f"/etc/sigma/{MANIFEST}"],
        "workingDir": "/tmp",
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": resources(settings.resources, options.cpu, options.memory),
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def pod(options: JobOptions, settings: BacktestSettings, config: str) -> Object:
    """The pod's spec: the `restricted` standard, no token, nothing writable but a scratch folder."""
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": config}},
        {"name": "scratch", "emptyDir": {"sizeLimit": settings.scratch}},
    ]
    data = _data_volume(options, settings)
    if data is not None:
        volumes.append(data)
    out: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": pod_security(),
        "containers": [_container(options, settings, data is not None)],
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
    final."""
    name = resource["metadata"]["name"]
    options = JobOptions.model_validate(resource["spec"].get("job", {}))
    final = {"operator": "In", "containerName": CONTAINER, "values": [1, BAD_INPUT, RAISED, INTERRUPTED, 137]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(resource, job_name(resource), marks(name)),
        "spec": {
            "backoffLimit": settings.retries if options.retries is None else options.retries,
            "activeDeadlineSeconds": _seconds(options.deadline, settings.deadline),
            "ttlSecondsAfterFinished": _seconds(options.ttl, settings.keep),
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": final},
                ]
            },
            "template": {"metadata": {"labels": marks(name)}, "spec": pod(options, settings, config)},
        }
        | ({"suspend": True} if suspended(resource) else {}),
    }


def suspension(resource: Mapping[str, Any]) -> Object:
    """The one field of the Job that changes: the rest of it can't."""
    own = resource["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(resource), "namespace": own["namespace"]},
        "spec": {"suspend": suspended(resource)},
    }


def job_name(resource: Mapping[str, Any]) -> str:
    return str(resource["metadata"]["name"])


def children(resource: Mapping[str, Any], settings: BacktestSettings) -> list[Object]:
    """Every object of a Backtest, in the order in which they are made."""
    config = config_map(resource)
    return [config, job(resource, settings, config["metadata"]["name"])]
