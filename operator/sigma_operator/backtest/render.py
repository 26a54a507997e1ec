"""The child objects of a Backtest. Pure: the same resource and settings give the same objects."""

from __future__ import annotations

import json

from sigma_bot.spec.pods import JobOptions
from sigma_bot.spec.sweep import Sweep
from sigma_bot.spec.units import Duration
from sigma_bot.times import SECOND
from sigma_operator.kubernetes.objects import (
    Object,
    ObjectView,
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
SHARD, MERGE = "--shard", "--merge"  # arguments of a sweep's pods, read by sigma_bot.container.job
PROGRESS_PORT = 8080  # where a pod serves its progress
BAD_INPUT, RAISED, INTERRUPTED = 2, 3, 130  # exit codes of `sigma backtest`


def child_labels(name: str) -> dict[str, str]:
    """Labels of a Backtest's children."""
    return common_labels(name, "backtest", BACKTEST_LABEL)


def is_suspended(resource: ObjectView) -> bool:
    """Whether spec.suspend is set."""
    return bool(resource["spec"].get("suspend"))


def manifest(resource: ObjectView) -> Object:
    """The manifest that the command line in the pod reads: the resource without what the cluster added. A pod
    has no folder that an HTML report could stay in, so it is not asked to write one."""
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


def config_map(resource: ObjectView) -> Object:
    """Manifest and code, immutable and named by the hash of their content."""
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
    """The volume at /data: the one that the Backtest names, else the installation's claim."""
    if options.data_config_map is not None:
        return {"name": "data", "configMap": {"name": options.data_config_map}}
    claim = options.data_claim or settings.data_claim
    if not claim:
        return None
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def reads_database(resource: ObjectView, settings: BacktestSettings) -> bool:
    """Whether the run reads the catalogue in the database: it does when no volume is at /data."""
    source = resource["spec"].get("data", {}).get("source")
    return source == "catalogue" and _data_volume(_options(resource), settings) is None


def sweep_of(resource: ObjectView) -> Sweep | None:
    """The resource's sweep, if it is one."""
    given = resource["spec"].get("sweep")
    return None if given is None else Sweep.model_validate(given)


def _environment(resource: ObjectView, settings: BacktestSettings, mode: str) -> list[Object]:
    """``SIGMA_DATA`` is where `source: catalogue` looks. Results may stay in the status alone, those of a
    shard may not."""
    out: list[Object] = [
        {"name": "HOME", "value": "/tmp"},
        {"name": "SIGMA_PROGRESS_PORT", "value": str(PROGRESS_PORT)},
    ]
    if settings.results and reads_database(resource, settings):
        out.append(_database_url("SIGMA_DATA", settings, needed=True))
    elif _data_volume(_options(resource), settings) is not None:
        out.append({"name": "SIGMA_DATA", "value": "/data"})
    if settings.results:
        out.append(_database_url("SIGMA_DATABASE_URL", settings, needed=bool(mode)))
    return out


def _database_url(variable: str, settings: BacktestSettings, *, needed: bool) -> Object:
    reference = {"name": settings.results, "key": "database-url", "optional": not needed}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _container(resource: ObjectView, settings: BacktestSettings, data: bool, mode: str) -> Object:
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
        "args": [f"/etc/sigma/{MANIFEST}", *([mode] if mode else [])],
        "workingDir": "/tmp",
        "env": _environment(resource, settings, mode),
        "resources": resources(settings.resources, options.cpu, options.memory),
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def pod_spec(resource: ObjectView, settings: BacktestSettings, config: str, mode: str = "") -> Object:
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
        "containers": [_container(resource, settings, data is not None, mode)],
        "volumes": volumes,
    }
    if settings.priority_class:
        out["priorityClassName"] = settings.priority_class
    if settings.pull_secrets:
        out["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return out


def _seconds(given: Duration | None, default: int) -> int:
    return default if given is None else -(-given.ns // SECOND)


def job(resource: ObjectView, settings: BacktestSettings, config: str) -> Object:
    """The Job. Only a disrupted pod is retried: an exit code of the command line, good or bad, is final. A
    sweep has an index for each shard, which is retried by itself."""
    options, sweep = _options(resource), sweep_of(resource)
    pod = pod_spec(resource, settings, config, SHARD if sweep else "")
    out = _job(resource, settings, job_name(resource), pod)
    retries = settings.retries if options.retries is None else options.retries
    if sweep is None:
        out["spec"] |= {"backoffLimit": retries, "podFailurePolicy": _pod_failure_policy(INTERRUPTED, 137)}
    else:
        indexed = {"completions": sweep.shards, "parallelism": sweep.shards, "completionMode": "Indexed"}
        out["spec"] |= indexed | {"backoffLimitPerIndex": retries, "podFailurePolicy": _pod_failure_policy()}
    if is_suspended(resource):
        out["spec"]["suspend"] = True
    return out


def merge_job(resource: ObjectView, settings: BacktestSettings) -> Object:
    """The Job that merges the shards of a sweep into what one process would have found."""
    config = config_map(resource)["metadata"]["name"]
    out = _job(resource, settings, merge_name(resource), pod_spec(resource, settings, config, MERGE))
    out["spec"] |= {"backoffLimit": settings.retries, "podFailurePolicy": _pod_failure_policy()}
    return out


def _options(resource: ObjectView) -> JobOptions:
    return JobOptions.model_validate(resource["spec"].get("job", {}))


def _pod_failure_policy(*also: int) -> Object:
    final = {"operator": "In", "containerName": CONTAINER, "values": [1, BAD_INPUT, RAISED, *also]}
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    ignored = {"action": "Ignore", "onPodConditions": disrupted}
    return {"rules": [ignored, {"action": "FailJob", "onExitCodes": final}]}


def _job(resource: ObjectView, settings: BacktestSettings, name: str, pod: Object) -> Object:
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


def suspend_patch(resource: ObjectView) -> Object:
    """The apply of the Job's one mutable field."""
    meta = resource["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(resource), "namespace": meta["namespace"]},
        "spec": {"suspend": is_suspended(resource)},
    }


def job_name(resource: ObjectView) -> str:
    return str(resource["metadata"]["name"])


def merge_name(resource: ObjectView) -> str:
    """Name of the Job that merges the shards of a sweep."""
    return f"{job_name(resource)}-merge"


def children(resource: ObjectView, settings: BacktestSettings) -> list[Object]:
    """Every child object of a Backtest, in the order of creation."""
    config = config_map(resource)
    return [config, job(resource, settings, config["metadata"]["name"])]
