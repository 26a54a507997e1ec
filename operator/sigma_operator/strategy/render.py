"""The child objects of a Strategy. Pure: the same manifest and settings give the same objects."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

from sigma_bot.spec import Strategy, parse_manifest
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
from sigma_operator.settings import GROUP, REVISION_LABEL, STRATEGY_LABEL, VERSION, BotSettings

CONTAINER = "bot"
BOT, CLOSE = "bot", "close"  # components
MANIFEST = "strategy.yaml"
KEYS_DIR = "/run/secrets/sigma"
LOGIN = "login"  # container and volume of the account's login
DATABASE_URL_FILE = "/run/sigma/database-url"
HEALTH_PORT = 8080
# Fields that only the operator reads: a change of them is no new revision.
OPERATOR_FIELDS = ("suspend", "deletionPolicy", "swapPolicy")


def parse_strategy(resource: ObjectView) -> Strategy:
    """The resource as a Strategy. Raises BadInputError with everything that is wrong with it."""
    meta = resource["metadata"]
    document = {
        "apiVersion": resource["apiVersion"],
        "kind": "Strategy",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "spec": resource["spec"],
    }
    found = parse_manifest(document, "manifest")
    assert isinstance(found, Strategy)
    return found


def validate(strategy: Strategy, settings: BotSettings) -> str:
    """The error why this Strategy may not run here; empty where it may. A Secret of the installation would
    give its author a login."""
    secret = strategy.spec.account.secret_ref
    if secret is None or secret.name not in settings.reserved:
        return ""
    return (
        f"spec.account.secretRef.name: {secret.name!r} is a Secret of this installation; name one with the "
        "venue's keys"
    )


def manifest_data(strategy: Strategy) -> dict[str, str]:
    """The ConfigMap's data, which the bot reads. Defaults are left out, so that a release that adds a field
    changes no revision."""
    spec = strategy.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Strategy",
        "metadata": {"name": strategy.metadata.name, "namespace": strategy.metadata.namespace},
        "spec": {name: value for name, value in spec.items() if name not in OPERATOR_FIELDS},
    }
    return {MANIFEST: json.dumps(document, indent=1, ensure_ascii=False)}


def revision_hash(strategy: Strategy) -> str:
    """The revision's name: a hash of manifest and code."""
    return content_hash(manifest_data(strategy))


def code_digest(strategy: Strategy) -> str:
    """sha256 of the source text; empty where the source is in the image."""
    code = strategy.spec.strategy.code
    return "" if code is None else hashlib.sha256(code.encode()).hexdigest()


def config_name(name: str, revision: str) -> str:
    """Name of the ConfigMap of a revision."""
    return f"{name}-{revision}"


def child_labels(name: str, component: str = BOT) -> dict[str, str]:
    """Labels of a Strategy's children."""
    return common_labels(name, component, STRATEGY_LABEL)


def config_map(resource: ObjectView, strategy: Strategy) -> Object:
    """Manifest and code, immutable and named by the hash of their content."""
    name = resource["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(resource, config_name(name, revision_hash(strategy)), child_labels(name)),
        "immutable": True,
        "data": manifest_data(strategy),
    }


def _from_secret(variable: str, secret: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def environment(strategy: Strategy, settings: BotSettings, swap_policy: str) -> list[Object]:
    """The bot's environment variables. API keys are files, never variables."""
    variables = {
        "MODE": strategy.spec.mode,
        "HOME": "/tmp",
        "SIGMA_HOME": "/tmp/sigma",
        "SIGMA_HEALTH_PORT": str(HEALTH_PORT),
        "SIGMA_NAMESPACE": str(strategy.metadata.namespace),
        "SIGMA_REVISION": revision_hash(strategy),
        "SIGMA_SWAP": swap_policy,
    }
    if strategy.spec.account.secret_ref is not None:
        variables["SIGMA_KEYS_DIR"] = KEYS_DIR
    if settings.venue_url:
        variables["SIGMA_VENUE_URL"] = settings.venue_url
    return [
        *({"name": name, "value": value} for name, value in variables.items()),
        _from_secret("SIGMA_REDIS_URL", settings.connections, "redis-url"),
        {"name": "SIGMA_DATABASE_URL_FILE", "value": DATABASE_URL_FILE}
        if settings.granter
        else _from_secret("SIGMA_DATABASE_URL", settings.connections, "database-url"),
    ]


def _probes() -> Object:
    def get(path: str, **options: int) -> Object:
        return {"httpGet": {"path": path, "port": "health"}, "timeoutSeconds": 3, **options}

    return {
        "startupProbe": get("/healthz", periodSeconds=1, failureThreshold=90),
        "livenessProbe": get("/healthz", periodSeconds=10, failureThreshold=3),
        "readinessProbe": get("/readyz", periodSeconds=2, failureThreshold=1),
    }


def container(strategy: Strategy, settings: BotSettings, swap_policy: str, *arguments: str) -> Object:
    """The bot's container."""
    live, pod = strategy.spec.mode == "live", strategy.spec.bot
    mounts: list[Object] = [
        {"name": "config", "mountPath": "/etc/sigma", "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    if settings.granter:
        mounts.append(
            {"name": LOGIN, "mountPath": str(PurePosixPath(DATABASE_URL_FILE).parent), "readOnly": True}
        )
    if strategy.spec.account.secret_ref is not None:
        mounts.append({"name": "keys", "mountPath": KEYS_DIR, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": pod.image or _image(strategy, settings),
        "imagePullPolicy": settings.pull_policy,
        "command": ["sigma-app"],
        "args": ["--config", f"/etc/sigma/{MANIFEST}", *arguments],
        "workingDir": "/tmp",
        "env": environment(strategy, settings, swap_policy),
        "resources": resources(settings.live_resources if live else settings.resources, pod.cpu, pod.memory),
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _image(strategy: Strategy, settings: BotSettings) -> str:
    return settings.live_image if strategy.spec.mode == "live" else settings.image


def login_container(strategy: Strategy, settings: BotSettings) -> Object:
    """The container that runs before the bot and makes its account's login in PostgreSQL. It alone meets the
    Secret of the granter, so it is always of the installation's image, and runs no code of the strategy's."""
    meta, account = strategy.metadata, strategy.spec.account
    arguments = (
        str(meta.namespace),
        f"{meta.namespace}/{meta.name}",
        strategy.spec.mode,
        account.venue,
        account.name,
    )
    return {
        "name": LOGIN,
        "image": _image(strategy, settings),
        "imagePullPolicy": settings.pull_policy,
        "command": [
            "/opt/sigma/bin/python",
            "-m",
            "sigma_bot.schema.granting",
            *arguments,
            DATABASE_URL_FILE,
        ],
        "env": [_from_secret("SIGMA_DATABASE_URL", settings.granter, "database-url")],
        "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "96Mi"}},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": LOGIN, "mountPath": str(PurePosixPath(DATABASE_URL_FILE).parent)}],
    }


def pod_spec(strategy: Strategy, settings: BotSettings, bot: Object) -> Object:
    """The pod's spec: the `restricted` standard, no token, nothing writable but a scratch folder."""
    volumes: list[Object] = [
        {
            "name": "config",
            "configMap": {"name": config_name(strategy.metadata.name, revision_hash(strategy))},
        },
        {"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if (secret := strategy.spec.account.secret_ref) is not None:
        volumes.append({"name": "keys", "secret": {"secretName": secret.name, "defaultMode": 0o440}})
    if settings.granter:
        volumes.append({"name": LOGIN, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    live = strategy.spec.mode == "live"
    out: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace,
        "securityContext": pod_security(),
        "containers": [bot],
        "volumes": volumes,
    }
    if settings.granter:
        out["initContainers"] = [login_container(strategy, settings)]
    if priority := settings.live_priority_class if live else settings.priority_class:
        out["priorityClassName"] = priority
    if settings.pull_secrets:
        out["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return out


def stateful_set(resource: ObjectView, strategy: Strategy, settings: BotSettings, replicas: int) -> Object:
    """One pod with a fixed name: the next is not created before the last is gone, so two never
    trade. It is replaced only when the operator deletes it."""
    name = resource["metadata"]["name"]
    revision, swap_policy = revision_hash(strategy), str(resource["spec"].get("swapPolicy", "adopt"))
    bot = container(strategy, settings, swap_policy) | _probes()
    bot["ports"] = [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}]
    template = {
        "metadata": {
            "labels": {**child_labels(name), REVISION_LABEL: revision, f"{GROUP}/mode": strategy.spec.mode}
        },
        "spec": pod_spec(strategy, settings, bot),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(resource, name, child_labels(name)),
        "spec": {
            "replicas": replicas,
            "serviceName": "",
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {STRATEGY_LABEL: name, "app.kubernetes.io/component": BOT}},
            "template": template,
        },
    }


def network_policy(resource: ObjectView, settings: BotSettings) -> Object:
    """Out to DNS, Redis, Postgres and the venue; in to the health port, from the operator and from
    Prometheus. Rules of several policies add up, so this one opens no more than the chart's for desks
    does."""
    name = resource["metadata"]["name"]
    peers = [dict(peer) for peer in settings.ingress]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(resource, name, child_labels(name)),
        "spec": {
            "podSelector": {"matchLabels": {STRATEGY_LABEL: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers, "ports": [{"protocol": "TCP", "port": HEALTH_PORT}]}],
            "egress": [dict(rule) for rule in settings.egress],
        },
    }


def close_job(
    resource: ObjectView, strategy: Strategy, settings: BotSettings, policy: str, job: str
) -> Object:
    """The Job that cancels orders, or also closes positions, once the bot is gone. Closing twice is closing
    once, so a failed pod is retried until the deadline."""
    name = resource["metadata"]["name"]
    bot = container(strategy, settings, "adopt", "--close", policy)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(resource, job, child_labels(name, CLOSE)),
        "spec": {
            "backoffLimit": 10,
            "activeDeadlineSeconds": settings.close_deadline,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": child_labels(name, CLOSE)},
                "spec": {"restartPolicy": "Never", **pod_spec(strategy, settings, bot)},
            },
        },
    }
