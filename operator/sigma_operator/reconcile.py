"""One step for one Backtest: read the truth, make what is missing, write what changed. Any step can be the
first."""

from __future__ import annotations

from sigma_bot.errors import BadInputError
from sigma_bot.spec import parse_manifest
from sigma_operator.kube import Api
from sigma_operator.objects import Object, owned_by
from sigma_operator.observe import Finding, find, finished, status_of
from sigma_operator.render import children, job_name, manifest, suspended, suspension
from sigma_operator.settings import BACKTEST_LABEL, MANAGER, Settings
from sigma_operator.writing import Writer

RESYNC = 60.0  # seconds after which an unfinished Backtest is looked at without being woken


class BacktestReconciler:
    """Brings Backtests to their end."""

    def __init__(self, api: Api, settings: Settings, writer: Writer | None = None) -> None:
        self.api = api
        self.settings = settings
        self.writer = writer or Writer(api)

    async def __call__(self, namespace: str, name: str) -> float | None:
        """One step; seconds until the next one is due even if nothing wakes it, None: never."""
        resource = await self.api.get("Backtest", namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"] or finished(resource):
            return None  # what is deleted takes its children with it by their owner references
        present = await self.api.get("Job", namespace, job_name(resource))
        finding = self._refusal(resource, present)
        if finding is None:
            present = await self._make(resource, present)
            pods = await self.api.select("Pod", namespace, f"{BACKTEST_LABEL}={name}")
            finding = find(present, [pod for pod in pods if owned_by(pod, present)])
        status = status_of(resource, finding, present, self.writer.now())
        trouble = finding.reason not in ("Starting", "Running", "Finished", "Suspended")
        await self.writer.status(resource, status, finding.message, trouble)
        return None if finding.phase in ("Complete", "Failed") else RESYNC

    def _refusal(self, resource: Object, present: Object | None) -> Finding | None:
        """Why this Backtest can't be run, if it can't."""
        if present is not None and not owned_by(present, resource):
            text = f"the Job {job_name(resource)} is not of this Backtest; delete it or rename the Backtest"
            return Finding("Pending", "NameConflict", text)
        try:
            parse_manifest(manifest(resource), "manifest")
        except BadInputError as error:
            return Finding("Failed", "BadInput", str(error))
        return None

    async def _make(self, resource: Object, present: Object | None) -> Object:
        """Make every child if the Job is missing; the last is the Job. One that is there is only told to
        wait or to go on."""
        if present is None:
            made: Object = {}
            for child in children(resource, self.settings.backtest):
                made = await self.api.apply(child)
            return made
        if bool(present["spec"].get("suspend")) != suspended(resource):
            return await self.api.apply(suspension(resource), manager=f"{MANAGER}-suspend")
        return present
