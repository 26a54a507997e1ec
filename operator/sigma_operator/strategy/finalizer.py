"""The finalizer of a Strategy: stops its bot, then treats its orders and positions as its deletion policy
says, within a deadline. It never blocks the deletion for good: a failure is an Event, and the finalizer is
removed."""

from __future__ import annotations

import logging
from datetime import datetime

from sigma_operator.kubernetes.api import Api
from sigma_operator.kubernetes.objects import COMPONENT, Object, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import GROUP, STRATEGY_LABEL, BotSettings
from sigma_operator.strategy import render
from sigma_operator.strategy.close_jobs import CloseJobs
from sigma_operator.strategy.observe import status_of
from sigma_operator.strategy.revisions import RevisionHistory, RolloutProgress
from sigma_operator.strategy.state import StrategyState

FINALIZER = f"{GROUP}/close"
SKIP_CLOSE = f"{GROUP}/skip-close"  # annotation: remove the finalizer at once
POLL_S = 2.0  # seconds between two reconciles

log = logging.getLogger("sigma_operator")


class Finalizer:
    """Finalizes Strategies that are being deleted."""

    def __init__(self, api: Api, settings: BotSettings, writer: StatusWriter, jobs: CloseJobs) -> None:
        self.api = api
        self.settings = settings
        self.writer = writer
        self.jobs = jobs

    async def finalize(self, resource: Object) -> float | None:
        """One reconcile; seconds until the next one, None once the finalizer is removed."""
        meta = resource["metadata"]
        if FINALIZER not in meta.get("finalizers", []):
            return None
        policy = str(resource["spec"].get("deletionPolicy", "cancel"))
        await self._write_status(resource, policy)
        if meta.get("annotations", {}).get(SKIP_CLOSE):
            await self._release(
                resource, "CloseSkipped", f"let go without '{policy}', as {SKIP_CLOSE} asks", True
            )
            return None
        if self._seconds_left(resource) <= 0:
            text = f"'{policy}' was not done within its deadline: look at the account yourself"
            await self._release(resource, "CloseDeadline", text, True)
            return None
        if not await self._stop_bot(resource):
            return POLL_S
        if policy == "leave" or not RevisionHistory.of(resource).entries:
            await self._release(resource, "Closed", "its orders and positions are left as they are", False)
            return None
        return await self._close(resource, policy)

    async def _write_status(self, resource: Object, policy: str) -> None:
        history, text = RevisionHistory.of(resource), f"deleted with '{policy}'"
        observed = StrategyState("Deleting", "Deleting", text)
        before = resource.get("status", {})
        running = {"mode": before.get("mode"), "code_digest": before.get("codeDigest")}
        progress = RolloutProgress(False, "Deleting", text)
        status = status_of(resource, observed, history, self.writer.now(), running, progress)
        await self.writer.write_status(resource, status, text, False)

    def _seconds_left(self, resource: Object) -> float:
        """Seconds until the deadline."""
        began = datetime.fromisoformat(resource["metadata"]["deletionTimestamp"])
        passed = (datetime.fromisoformat(self.writer.now()) - began).total_seconds()
        return self.settings.grace + self.settings.close_deadline - passed

    async def _stop_bot(self, resource: Object) -> bool:
        """Scale the bot to zero; whether its pod is gone."""
        meta = resource["metadata"]
        present = await self.api.get("StatefulSet", meta["namespace"], meta["name"])
        if present is not None and owned_by(present, resource):
            if present["spec"].get("replicas") != 0:
                await self.api.scale(meta["namespace"], meta["name"], 0)
        selector = f"{STRATEGY_LABEL}={meta['name']},{COMPONENT}={render.BOT}"
        return not await self.api.select("Pod", meta["namespace"], selector)

    async def _close(self, resource: Object, policy: str) -> float | None:
        """Run the close Job of the bot's image."""
        ran = RevisionHistory.of(resource).target()
        outcome = await self.jobs.run(resource, f"{resource['metadata']['name']}-close", ran, policy)
        if not outcome.finished:
            return POLL_S
        if outcome.problem:
            text = f"'{policy}' failed: {outcome.problem}; look at the account yourself"
            await self._release(resource, "CloseFailed", text, True)
        else:
            await self._release(resource, "Closed", f"'{policy}' is done", False)
        return None

    async def _release(self, resource: Object, reason: str, message: str, warning: bool) -> None:
        meta = resource["metadata"]
        log.log(
            logging.WARNING if warning else logging.INFO,
            "Strategy %s/%s deleted: %s",
            meta["namespace"],
            meta["name"],
            message,
        )
        await self.writer.record_event(resource, reason, message, warning)
        await self.writer.set_finalizers(resource, [])
