"""A resource as the objects that carry it out. Pure: the same resource and settings give the same objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sigma_operator.settings import BACKTEST_LABEL, GROUP, MANAGER, VERSION, BacktestSettings

Object = dict[str, Any]

CONTAINER = "backtest"
MANIFEST = "backtest.yaml"
USER = 65532  # "nonroot" in the image
BAD_INPUT, RAISED, INTERRUPTED = 2, 3, 130  # exit codes of `sigma backtest`


def content_hash(document: object) -> str:
    """Ten characters that name a content."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def labels(name: str, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "sigma-x",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": MANAGER,
        BACKTEST_LABEL: name,
    }


def owner(resource: Mapping[str, Any]) -> Object:
    """The reference by which the garbage collector takes the children with the resource."""
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "name": resource["metadata"]["name"],
        "uid": resource["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _metadata(resource: Mapping[str, Any], name: str) -> Object:
    own = resource["metadata"]
    return {
        "name": name,
        "namespace": own["namespace"],
        "labels": labels(own["name"], "backtest"),
        "ownerReferences": [owner(resource)],
    }


def manifest(resource: Mapping[str, Any]) -> Object:
    """What the command line in the pod reads: the resource without what the cluster added. A pod has no
    folder that an HTML report could stay in, so it is not asked to write one."""
    spec = {**resource["spec"], "report": {**resource["spec"].get("report", {})}}
    spec["report"].pop("html", None)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": resource["kind"],
        "metadata": {"name": resource["metadata"]["name"]},
        "spec": spec,
    }


def config_map(resource: Mapping[str, Any]) -> Object:
    """Manifest and code, named by their content and unchangeable: what a pod reads is what its name says."""
    data = {MANIFEST: json.dumps(manifest(resource), indent=1)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(resource, f"{resource['metadata']['name']}-{content_hash(data)}"),
        "immutable": True,
        "data": data,
    }


def _container(settings: BacktestSettings) -> Object:
    mounts: list[Object] = [
        {"name": "config", "mountPath": "/etc/sigma", "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    if settings.data_claim:
        mounts.append({"name": "data", "mountPath": "/data", "readOnly": True})
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": [f"/etc/sigma/{MANIFEST}"],
        "workingDir": "/tmp",
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": dict(settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def pod(settings: BacktestSettings, config: str) -> Object:
    """The pod's spec: the `restricted` standard, no token, nothing writable but a scratch folder."""
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": config}},
        {"name": "scratch", "emptyDir": {"sizeLimit": settings.scratch}},
    ]
    if settings.data_claim:
        claim = {"claimName": settings.data_claim, "readOnly": True}
        volumes.append({"name": "data", "persistentVolumeClaim": claim})
    out: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings)],
        "volumes": volumes,
    }
    if settings.priority_class:
        out["priorityClassName"] = settings.priority_class
    if settings.pull_secrets:
        out["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return out


def job(resource: Mapping[str, Any], settings: BacktestSettings, config: str) -> Object:
    """The Job. Only what the machine broke off is repeated: an answer of the command line, good or bad, is
    final."""
    name = resource["metadata"]["name"]
    final = {"operator": "In", "containerName": CONTAINER, "values": [1, BAD_INPUT, RAISED, INTERRUPTED, 137]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(resource, job_name(resource)),
        "spec": {
            "backoffLimit": settings.retries,
            "activeDeadlineSeconds": settings.deadline,
            "ttlSecondsAfterFinished": settings.keep,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": final},
                ]
            },
            "template": {"metadata": {"labels": labels(name, "backtest")}, "spec": pod(settings, config)},
        },
    }


def job_name(resource: Mapping[str, Any]) -> str:
    return str(resource["metadata"]["name"])


def children(resource: Mapping[str, Any], settings: BacktestSettings) -> list[Object]:
    """Every object of a Backtest, in the order in which they are made."""
    config = config_map(resource)
    return [config, job(resource, settings, config["metadata"]["name"])]
