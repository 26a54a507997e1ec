"""One step for one Backtest: read the truth, make what is missing, write what changed. Any step can be the
first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sigma_bot.errors import BadInputError
from sigma_bot.spec import parse_manifest
from sigma_operator.kube import Api, ApiError
from sigma_operator.observe import Finding, find, finished, status_of
from sigma_operator.render import Object, children, job_name, manifest
from sigma_operator.settings import BACKTEST_LABEL, GROUP, MANAGER, VERSION, Settings
from sigma_operator.work import Key

RESYNC = 60.0  # seconds after which an unfinished Backtest is looked at without being woken

log = logging.getLogger("sigma_operator")


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owned_by(child: Object, resource: Object) -> bool:
    owners = child["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == resource["metadata"]["uid"] for owner in owners)


class BacktestReconciler:
    """Brings Backtests to their end."""

    def __init__(self, api: Api, settings: Settings, now: Callable[[], str] = utc_now) -> None:
        self.api = api
        self.settings = settings
        self.now = now

    async def __call__(self, key: Key) -> float | None:
        """One step; seconds until the next one is due even if nothing wakes it, None: never."""
        namespace, name = key
        resource = await self.api.get("Backtest", namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"] or finished(resource):
            return None  # what is deleted takes its children with it by their owner references
        job = await self.api.get("Job", namespace, job_name(resource))
        finding = self._refusal(resource, job)
        if finding is None:
            if job is None:
                job = await self._make(resource)
            pods = await self.api.list("Pod", namespace, f"{BACKTEST_LABEL}={name}")
            finding = find(job, [pod for pod in pods if owned_by(pod, job)])
        await self._write(resource, finding, job)
        return None if finding.phase in ("Complete", "Failed") else RESYNC

    def _refusal(self, resource: Object, job: Object | None) -> Finding | None:
        """Why this Backtest can't be run, if it can't."""
        if job is not None and not owned_by(job, resource):
            text = f"the Job {job_name(resource)} is not of this Backtest; delete it or rename the Backtest"
            return Finding("Pending", "NameConflict", text)
        try:
            parse_manifest(manifest(resource), "manifest")
        except BadInputError as error:
            return Finding("Failed", "BadInput", str(error))
        return None

    async def _make(self, resource: Object) -> Object:
        """Make every child that is missing; the last is the Job."""
        made: Object = {}
        for child in children(resource, self.settings.backtest):
            made = await self.api.apply(child)
        return made

    async def _write(self, resource: Object, finding: Finding, job: Object | None) -> None:
        """Write the status if it says anything new, and an Event when the phase or its reason changed."""
        status = status_of(resource, finding, job, self.now())
        before = resource.get("status", {})
        if status == before:
            return
        own = resource["metadata"]
        target = {"name": own["name"], "namespace": own["namespace"], "uid": own["uid"]}
        document = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Backtest",
            "metadata": target,
            "status": status,
        }
        await self.api.apply(document, "status")
        if _reason(status) != _reason(before):
            log.info("%s/%s: %s, %s", own["namespace"], own["name"], finding.phase, finding.reason)
            await self._tell(resource, finding)

    async def _tell(self, resource: Object, finding: Finding) -> None:
        own, now = resource["metadata"], self.now()
        trouble = finding.phase == "Failed" or (finding.phase == "Pending" and finding.reason != "Starting")
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{own['name']}-", "namespace": own["namespace"]},
            "involvedObject": {key: resource[key] for key in ("apiVersion", "kind")}
            | {key: own[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "type": "Warning" if trouble else "Normal",
            "reason": finding.reason,
            "message": finding.message[:1024],
            "source": {"component": MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self.api.create(event)
        except ApiError as error:  # an Event is a courtesy: the status has been written
            log.warning("no event for %s/%s: %s", own["namespace"], own["name"], error)


def _reason(status: Object) -> tuple[str, str]:
    conditions = status.get("conditions", [])
    return status.get("phase", ""), conditions[0]["reason"] if conditions else ""
