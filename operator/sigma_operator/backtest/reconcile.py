"""One step for one Backtest: read the truth, make what is missing, write what changed. Any step can be the
first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sigma_bot.errors import BadInputError
from sigma_bot.spec import parse_manifest
from sigma_operator.backtest.observe import (
    Finding,
    addresses,
    find,
    find_parts,
    finished,
    progress,
    status_of,
)
from sigma_operator.backtest.render import (
    children,
    from_database,
    job_name,
    manifest,
    merge_job,
    merge_name,
    suspended,
    suspension,
    sweep_of,
)
from sigma_operator.kubernetes.api import Api
from sigma_operator.kubernetes.objects import Object, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import BACKTEST_LABEL, MANAGER, Settings

RESYNC = 60.0  # seconds after which an unfinished Backtest is looked at without being woken
ASK = 5.0  # seconds after which one that runs is asked again how far it is

Progress = Callable[[str], Awaitable[tuple[int, int] | None]]


class BacktestReconciler:
    """Brings Backtests to their end."""

    def __init__(
        self, api: Api, settings: Settings, progress: Progress, writer: StatusWriter | None = None
    ) -> None:
        self.api = api
        self.settings = settings
        self.progress = progress
        self.writer = writer or StatusWriter(api)

    async def __call__(self, namespace: str, name: str) -> float | None:
        """One step; seconds until the next one is due even if nothing wakes it, None: never."""
        resource = await self.api.get("Backtest", namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"] or finished(resource):
            return None  # what is deleted takes its children with it by their owner references
        present = await self.api.get("Job", namespace, job_name(resource))
        finding = self._refusal(resource, present)
        if finding is None:
            present = await self._make(resource, present)
            finding = await self._find(resource, present)
        status = status_of(resource, finding, present, self.writer.now())
        trouble = finding.reason not in ("Starting", "Running", "Finished", "Suspended")
        await self.writer.status(resource, status, finding.message, trouble)
        if finding.phase == "Running":
            return ASK
        return None if finding.phase in ("Complete", "Failed") else RESYNC

    async def _find(self, resource: Object, present: Object) -> Finding:
        """Where it stands; a sweep whose parts are done is joined."""
        own = resource["metadata"]
        pods = await self.api.select("Pod", own["namespace"], f"{BACKTEST_LABEL}={own['name']}")
        mine = [pod for pod in pods if owned_by(pod, present)]
        if sweep_of(resource) is None:
            return await self._asked(find(present, mine), present, mine)
        finding = find_parts(present, mine)
        if finding is not None:
            return await self._asked(finding, present, mine)
        merging = await self.api.get("Job", own["namespace"], merge_name(resource))
        if merging is None:
            merging = await self.api.apply(merge_job(resource, self.settings.backtest))
        if not owned_by(merging, resource):
            return self._taken(merge_name(resource))
        return find(merging, [pod for pod in pods if owned_by(pod, merging)])

    async def _asked(self, finding: Finding, job: Object, pods: list[Object]) -> Finding:
        """With how far it is, when it runs and says so."""
        if finding.phase != "Running":
            return finding
        told = await asyncio.gather(*(self.progress(address) for address in addresses(pods)))
        return replace(finding, progress=progress(job, [rows for rows in told if rows is not None]))

    @staticmethod
    def _taken(name: str) -> Finding:
        text = f"the Job {name} is not of this Backtest; delete it or rename the Backtest"
        return Finding("Pending", "NameConflict", text)

    def _refusal(self, resource: Object, present: Object | None) -> Finding | None:
        """Why this Backtest can't be run, if it can't."""
        if present is not None and not owned_by(present, resource):
            return self._taken(job_name(resource))
        if sweep_of(resource) is not None and not self.settings.backtest.results:
            text = "spec.sweep needs a database for its parts: set backtest.results of the chart"
            return Finding("Failed", "BadInput", text)
        if from_database(resource, self.settings.backtest) and not self.settings.backtest.results:
            text = (
                "spec.data.source: the catalogue is in a claim or in the database for results, and there is "
                "neither: name the claim in spec.job.dataClaim, or set backtest.dataClaim or the database in "
                "the chart's values"
            )
            return Finding("Failed", "BadInput", text)
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
