"""The watches, which kopf runs. An event only names the resource to reconcile; nothing else is read from
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from sigma_operator.health import GenerationLag
from sigma_operator.kubernetes.objects import MANAGED_BY
from sigma_operator.kubernetes.watchdog import Watchdog
from sigma_operator.kubernetes.workqueue import Key
from sigma_operator.settings import BACKTEST_LABEL, GROUP, MANAGER, STRATEGY_LABEL, VERSION

RESOURCES = {"Backtest": (GROUP, VERSION, "backtests"), "Strategy": (GROUP, VERSION, "strategies")}
CHILDREN = {
    "Job": ("batch", "v1", "jobs"),
    "Pod": ("", "v1", "pods"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
}
URGENT = ("Job", "Pod")
SELECTOR = f"{MANAGED_BY}={MANAGER}"
BACKOFFS = (1, 1, 2, 3, 5, 8, 13, 21, *[30] * 18)  # seconds; ten minutes in all, then the pod restarts


def key_of(namespace: str, labels: Mapping[str, str]) -> Key | None:
    """The resource that a child belongs to, by its labels."""
    for kind, label in (("Strategy", STRATEGY_LABEL), ("Backtest", BACKTEST_LABEL)):
        if label in labels:
            return kind, namespace, labels[label]
    return None


def registry(enqueue: Callable[[Key, bool], None], watchdog: Watchdog) -> kopf.OperatorRegistry:
    """The event handlers: a resource is put into the workqueue by its own events and by those of its
    children, found by their label; by pods and Jobs urgently."""
    handlers, lag = kopf.OperatorRegistry(), GenerationLag()

    def login(**known: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)

    def resource_event(kind: str) -> Callable[..., Any]:
        async def handle(*, namespace: str | None, name: str, body: Mapping[str, Any], **more: Any) -> None:
            meta, observed = body["metadata"], body.get("status", {}).get("observedGeneration", 0)
            watchdog.record(kind, str(namespace), name, meta["resourceVersion"])
            deleted = more["event"]["type"] == "DELETED"
            lag.set(kind, str(namespace), name, not deleted and observed < meta["generation"])
            enqueue((kind, str(namespace), name), False)

        return handle

    def child_event(kind: str) -> Callable[..., Any]:
        async def handle(*, namespace: str | None, name: str, meta: Mapping[str, Any], **_: Any) -> None:
            watchdog.record(kind, str(namespace), name, meta["resourceVersion"])
            if (key := key_of(str(namespace), meta.get("labels", {}))) is not None:
                enqueue(key, kind in URGENT)

        return handle

    kopf.on.login(registry=handlers)(login)
    for kind, resource in RESOURCES.items():
        kopf.on.event(*resource, registry=handlers, id=kind)(resource_event(kind))
    for kind, resource in CHILDREN.items():
        kopf.on.event(*resource, labels={MANAGED_BY: MANAGER}, registry=handlers, id=kind)(child_event(kind))
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings for one replica beside one API server that may be away for minutes."""
    out = kopf.OperatorSettings()
    out.watching.server_timeout = 300
    out.watching.client_timeout = 330
    out.watching.connect_timeout = 10
    # What is held at once when everything is listed decides this process's memory until it ends: few objects
    # at a time, and no worker that waits for a second event of the same object.
    out.watching.chunk_size = 50
    out.queueing.idle_timeout = 0.1
    for resource in CHILDREN.values():
        out.watching.label_selectors[resource] = SELECTOR
    out.networking.request_timeout = 30
    out.networking.connect_timeout = 5
    out.networking.error_backoffs = BACKOFFS
    out.posting.enabled = False  # StatusWriter records the Events, one for each transition
    out.posting.reporting_component = MANAGER
    out.persistence.finalizer = f"{GROUP}/operator"
    out.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    out.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    out.process.ultimate_exiting_timeout = 20
    return out
