"""What kopf does for us: it watches. Every event only says which Backtest to look at; nothing is read from
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from sigma_operator.settings import BACKTEST_LABEL, GROUP, MANAGER, VERSION
from sigma_operator.work import WorkQueue

JOBS = ("batch", "v1", "jobs")
PODS = ("", "v1", "pods")
BACKOFFS = (1, 1, 2, 3, 5, 8, 13, 21, *[30] * 18)  # seconds; ten minutes in all, then the pod restarts


def registry(queue: WorkQueue) -> kopf.OperatorRegistry:
    """The handlers: a Backtest wakes itself, its Job and its pods wake it by their label."""
    handlers = kopf.OperatorRegistry()

    async def backtest_event(*, namespace: str | None, name: str, **_: Any) -> None:
        queue.add((str(namespace), name))

    async def child_event(*, namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        queue.add((str(namespace), labels[BACKTEST_LABEL]))

    def login(**known: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)

    kopf.on.login(registry=handlers)(login)
    kopf.on.event(GROUP, VERSION, "backtests", registry=handlers)(backtest_event)
    for resource in (JOBS, PODS):
        kopf.on.event(*resource, labels={BACKTEST_LABEL: kopf.PRESENT}, registry=handlers)(child_event)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings for one replica beside one API server that may be away for minutes."""
    out = kopf.OperatorSettings()
    out.watching.server_timeout = 300
    out.watching.client_timeout = 330
    out.watching.connect_timeout = 10
    for resource in (JOBS, PODS):
        out.watching.label_selectors[resource] = BACKTEST_LABEL
    out.networking.request_timeout = 30
    out.networking.connect_timeout = 5
    out.networking.error_backoffs = BACKOFFS
    out.posting.enabled = False  # Events are ours, one a transition
    out.posting.reporting_component = MANAGER
    out.persistence.finalizer = f"{GROUP}/operator"
    out.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    out.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    out.process.ultimate_exiting_timeout = 20
    return out
