"""The end of a Strategy: its bot is stopped, then its orders and positions are dealt with as its deletion
policy says, within a deadline. It is never stuck: whatever fails is told, and the Strategy goes."""

from __future__ import annotations

import logging
from datetime import datetime

from sigma_operator.kubernetes.api import Api
from sigma_operator.kubernetes.objects import COMPONENT, Object, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import GROUP, STRATEGY_LABEL, BotSettings
from sigma_operator.strategy import render
from sigma_operator.strategy.close_jobs import CloseJobs
from sigma_operator.strategy.findings import Finding
from sigma_operator.strategy.observe import status_of
from sigma_operator.strategy.revisions import History, Progress

FINALIZER = f"{GROUP}/close"
SKIP = f"{GROUP}/skip-close"  # annotation: let go at once
POLL_S = 2.0  # seconds between two looks

log = logging.getLogger("sigma_operator")


class Finalizer:
    """Ends Strategies that are being deleted."""

    def __init__(self, api: Api, settings: BotSettings, writer: StatusWriter, jobs: CloseJobs) -> None:
        self.api = api
        self.settings = settings
        self.writer = writer
        self.jobs = jobs

    async def finalize(self, resource: Object) -> float | None:
        """One step; seconds until the next one, None once the Strategy is let go."""
        own = resource["metadata"]
        if FINALIZER not in own.get("finalizers", []):
            return None
        policy = str(resource["spec"].get("deletionPolicy", "cancel"))
        await self._report(resource, policy)
        if own.get("annotations", {}).get(SKIP):
            await self._release(resource, "CloseSkipped", f"let go without '{policy}', as {SKIP} asks", True)
            return None
        if self._seconds_left(resource) <= 0:
            text = f"'{policy}' was not done within its deadline: look at the account yourself"
            await self._release(resource, "CloseDeadline", text, True)
            return None
        if not await self._stopped(resource):
            return POLL_S
        if policy == "leave" or not History.of(resource).entries:
            await self._release(resource, "Closed", "its orders and positions are left as they are", False)
            return None
        return await self._job(resource, policy)

    async def _report(self, resource: Object, policy: str) -> None:
        history, text = History.of(resource), f"deleted with '{policy}'"
        finding = Finding("Deleting", "Deleting", text)
        before = resource.get("status", {})
        running = {"mode": before.get("mode"), "code_digest": before.get("codeDigest")}
        progress = Progress(False, "Deleting", text)
        status = status_of(resource, finding, history, self.writer.now(), running, progress)
        await self.writer.status(resource, status, text, False)

    def _seconds_left(self, resource: Object) -> float:
        """Seconds until the deadline."""
        began = datetime.fromisoformat(resource["metadata"]["deletionTimestamp"])
        passed = (datetime.fromisoformat(self.writer.now()) - began).total_seconds()
        return self.settings.grace + self.settings.close_deadline - passed

    async def _stopped(self, resource: Object) -> bool:
        """Whether its bot is gone; tells it to go."""
        own = resource["metadata"]
        present = await self.api.get("StatefulSet", own["namespace"], own["name"])
        if present is not None and owned_by(present, resource):
            if present["spec"].get("replicas") != 0:
                await self.api.scale(own["namespace"], own["name"], 0)
        selector = f"{STRATEGY_LABEL}={own['name']},{COMPONENT}={render.BOT}"
        return not await self.api.select("Pod", own["namespace"], selector)

    async def _job(self, resource: Object, policy: str) -> float | None:
        """Close by a Job of the bot's image."""
        ran = History.of(resource).to_run()
        outcome = await self.jobs.run(resource, f"{resource['metadata']['name']}-close", ran, policy)
        if not outcome.over:
            return POLL_S
        if outcome.problem:
            text = f"'{policy}' failed: {outcome.problem}; look at the account yourself"
            await self._release(resource, "CloseFailed", text, True)
        else:
            await self._release(resource, "Closed", f"'{policy}' is done", False)
        return None

    async def _release(self, resource: Object, reason: str, message: str, trouble: bool) -> None:
        own = resource["metadata"]
        log.log(
            logging.WARNING if trouble else logging.INFO,
            "Strategy %s/%s deleted: %s",
            own["namespace"],
            own["name"],
            message,
        )
        await self.writer.tell(resource, reason, message, trouble)
        await self.writer.finalizers(resource, [])
