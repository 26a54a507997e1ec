"""The rollout of a new revision by swapPolicy. `drain` waits until the old one holds nothing; `flatten`
closes what it held once it is gone; with `adopt` the new revision takes over what the old one holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sigma_operator.kubernetes.objects import Object
from sigma_operator.strategy import render
from sigma_operator.strategy.close_jobs import CloseJobs
from sigma_operator.strategy.observe import revision_of
from sigma_operator.strategy.revisions import RevisionHistory, RolloutProgress
from sigma_operator.strategy.state import BotReadiness, StrategyState


@dataclass(frozen=True)
class RolloutPause:
    """Why the newest revision does not start yet. `stop_old_pod`: the old bot must end first."""

    progress: RolloutProgress
    stop_old_pod: bool


@dataclass(frozen=True)
class RolloutDecision:
    """What the new revision waits for, and the warning where a failed close let it start."""

    pause: RolloutPause | None = None
    warning: str = ""


def drain_pause(
    history: RevisionHistory,
    pods: Sequence[Object],
    observed: StrategyState,
    readiness: BotReadiness | None,
) -> RolloutPause | None:
    """The pause while the old revision trades and holds something; None for one that can't close, since it is
    halted or down."""
    newest = history.entries[-1].revision
    if not pods or revision_of(pods[0]) == newest or observed.phase != "Running":
        return None
    if readiness is not None and readiness.flat:
        return None
    text = f"revision {newest} starts when {revision_of(pods[0])} holds nothing (swapPolicy: drain)"
    return RolloutPause(RolloutProgress(True, "Draining", text), stop_old_pod=False)


class Rollout:
    """Decides when a new revision may start."""

    def __init__(self, jobs: CloseJobs) -> None:
        self.jobs = jobs

    async def decide(
        self,
        resource: Object,
        history: RevisionHistory,
        pods: Sequence[Object],
        observed: StrategyState,
        readiness: BotReadiness | None,
    ) -> RolloutDecision:
        """Without a pause the newest revision may start. A close that failed pauses nothing: a position with
        a bot is better than one without."""
        newest, last_ready = history.newest, history.last_ready
        if newest is None or newest.outcome != "Starting" or newest.warning is not None:
            return RolloutDecision()
        if last_ready is None or last_ready.revision == newest.revision:
            return RolloutDecision()
        policy = resource["spec"].get("swapPolicy", "adopt")
        if policy == "drain":
            return RolloutDecision(drain_pause(history, pods, observed, readiness))
        if policy == "flatten" and all(revision_of(pod) != newest.revision for pod in pods):
            return await self._flatten(resource, newest.revision, last_ready.revision, pods)
        return RolloutDecision()

    async def _flatten(
        self, resource: Object, newest: str, old: str, pods: Sequence[Object]
    ) -> RolloutDecision:
        text = f"revision {newest} starts when what {old} held is closed (swapPolicy: flatten)"
        paused = RolloutDecision(RolloutPause(RolloutProgress(True, "Flattening", text), stop_old_pod=True))
        if pods:
            return paused
        name = render.config_name(resource["metadata"]["name"], newest)
        result = await self.jobs.run(resource, name, old, "flatten")
        if not result.finished:
            return paused
        if not result.problem:
            return RolloutDecision()
        return RolloutDecision(
            warning=f"what {old} held was not closed: {result.problem}; look at the account"
        )
