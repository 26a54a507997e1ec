"""Writes to a resource: its status when it changed, an Event when its phase or reason changed, its
finalizers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sigma_operator.kubernetes.api import Api, ApiError
from sigma_operator.kubernetes.objects import Object
from sigma_operator.settings import GROUP, MANAGER, VERSION

log = logging.getLogger("sigma_operator")


def utc_now() -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StatusWriter:
    """Writes status, Events and finalizers by server-side apply as the operator's field manager."""

    def __init__(self, api: Api, now: Callable[[], str] = utc_now) -> None:
        self.api = api
        self.now = now

    async def write_status(self, resource: Object, status: Object, message: str, warning: bool) -> bool:
        """Write the status if it differs; an Event with `message` is recorded for a new phase or reason.
        Whether anything was written."""
        before = resource.get("status", {})
        if status == before:
            return False
        await self.api.apply(_identity(resource) | {"status": status}, "status")
        reason = phase_and_reason(status)
        if reason != phase_and_reason(before):
            meta = resource["metadata"]
            log.info("%s %s/%s: %s, %s", resource["kind"], meta["namespace"], meta["name"], *reason)
            await self.record_event(resource, reason[1], message, warning)
        return True

    async def set_finalizers(self, resource: Object, names: list[str]) -> None:
        """Make these the operator's finalizers of the resource, under a field manager of their own, which
        owns nothing else of it."""
        document = _identity(resource)
        document["metadata"] = {**document["metadata"], "finalizers": names}
        await self.api.apply(document, manager=f"{MANAGER}-finalizer")

    async def record_event(self, resource: Object, reason: str, message: str, warning: bool) -> None:
        """Create an Event about the resource. Raises nothing when the API server refuses it."""
        meta, now = resource["metadata"], self.now()
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}-", "namespace": meta["namespace"]},
            "involvedObject": {key: resource[key] for key in ("apiVersion", "kind")}
            | {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "source": {"component": MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self.api.create(event)
        except ApiError as error:  # Events are best effort: the status has been written
            log.warning("no event for %s/%s: %s", meta["namespace"], meta["name"], error)


def _identity(resource: Object) -> Object:
    """The document that an apply to this very resource begins with: with its uid, so that the server refuses
    it once the resource is gone or replaced."""
    meta = resource["metadata"]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": resource["kind"],
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
    }


def phase_and_reason(status: Object) -> tuple[str, str]:
    """Phase and reason of a status."""
    conditions = status.get("conditions", [])
    return status.get("phase", ""), conditions[0]["reason"] if conditions else ""
