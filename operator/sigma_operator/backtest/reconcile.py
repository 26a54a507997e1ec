"""Reconciles a Backtest: reads the present state, creates what is missing, writes the status. Level-based:
any call can be the first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sigma_bot.errors import BadInputError
from sigma_bot.spec import parse_manifest
from sigma_operator.backtest.observe import (
    BacktestState,
    is_finished,
    observe,
    observe_shards,
    run_progress,
    running_addresses,
    status_of,
)
from sigma_operator.backtest.render import (
    children,
    is_suspended,
    job_name,
    manifest,
    merge_job,
    merge_name,
    reads_database,
    suspend_patch,
    sweep_of,
)
from sigma_operator.kubernetes.api import Api
from sigma_operator.kubernetes.objects import Object, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import BACKTEST_LABEL, MANAGER, Settings

RESYNC_S = 60.0  # seconds after which an unfinished Backtest is reconciled without an event
POLL_S = 5.0  # seconds between two probes of a running one's progress

ProgressProbe = Callable[[str], Awaitable[tuple[int, int] | None]]


class BacktestReconciler:
    """Runs Backtests to their end."""

    def __init__(
        self, api: Api, settings: Settings, probe_progress: ProgressProbe, writer: StatusWriter | None = None
    ) -> None:
        self.api = api
        self.settings = settings
        self.probe_progress = probe_progress
        self.writer = writer or StatusWriter(api)

    async def __call__(self, namespace: str, name: str) -> float | None:
        """One reconcile; seconds until the next one without an event, None: none is due."""
        resource = await self.api.get("Backtest", namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"] or is_finished(resource):
            return None  # the garbage collector deletes the children by their owner references
        present = await self.api.get("Job", namespace, job_name(resource))
        observed = self._validate(resource, present)
        if observed is None:
            present = await self._apply(resource, present)
            observed = await self._observe(resource, present)
        status = status_of(resource, observed, present, self.writer.now())
        warning = observed.reason not in ("Starting", "Running", "Finished", "Suspended")
        await self.writer.write_status(resource, status, observed.message, warning)
        if observed.phase == "Running":
            return POLL_S
        return None if observed.phase in ("Complete", "Failed") else RESYNC_S

    async def _observe(self, resource: Object, present: Object) -> BacktestState:
        """Its state; a sweep whose shards are done is merged."""
        meta = resource["metadata"]
        pods = await self.api.select("Pod", meta["namespace"], f"{BACKTEST_LABEL}={meta['name']}")
        own_pods = [pod for pod in pods if owned_by(pod, present)]
        if sweep_of(resource) is None:
            return await self._with_progress(observe(present, own_pods), present, own_pods)
        observed = observe_shards(present, own_pods)
        if observed is not None:
            return await self._with_progress(observed, present, own_pods)
        merge = await self.api.get("Job", meta["namespace"], merge_name(resource))
        if merge is None:
            merge = await self.api.apply(merge_job(resource, self.settings.backtest))
        if not owned_by(merge, resource):
            return self._name_conflict(merge_name(resource))
        return observe(merge, [pod for pod in pods if owned_by(pod, merge)])

    async def _with_progress(self, observed: BacktestState, job: Object, pods: list[Object]) -> BacktestState:
        """With its progress, when it runs and its pods report it."""
        if observed.phase != "Running":
            return observed
        reported = await asyncio.gather(
            *(self.probe_progress(address) for address in running_addresses(pods))
        )
        return replace(observed, progress=run_progress(job, [rows for rows in reported if rows is not None]))

    @staticmethod
    def _name_conflict(name: str) -> BacktestState:
        text = f"the Job {name} is not of this Backtest; delete it or rename the Backtest"
        return BacktestState("Pending", "NameConflict", text)

    def _validate(self, resource: Object, present: Object | None) -> BacktestState | None:
        """The state of a Backtest that can't be run; None when it can."""
        if present is not None and not owned_by(present, resource):
            return self._name_conflict(job_name(resource))
        if sweep_of(resource) is not None and not self.settings.backtest.results:
            text = "spec.sweep needs a database for its parts: set backtest.results of the chart"
            return BacktestState("Failed", "BadInput", text)
        if reads_database(resource, self.settings.backtest) and not self.settings.backtest.results:
            text = (
                "spec.data.source: the catalogue is in a claim or in the database for results, and there is "
                "neither: name the claim in spec.job.dataClaim, or set backtest.dataClaim or the database in "
                "the chart's values"
            )
            return BacktestState("Failed", "BadInput", text)
        try:
            parse_manifest(manifest(resource), "manifest")
        except BadInputError as error:
            return BacktestState("Failed", "BadInput", str(error))
        return None

    async def _apply(self, resource: Object, present: Object | None) -> Object:
        """Apply every child if the Job is missing; the last is the Job, which is returned. Of a present one
        only `suspend` is applied."""
        if present is None:
            made: Object = {}
            for child in children(resource, self.settings.backtest):
                made = await self.api.apply(child)
            return made
        if bool(present["spec"].get("suspend")) != is_suspended(resource):
            return await self.api.apply(suspend_patch(resource), manager=f"{MANAGER}-suspend")
        return present
