"""What happens between two revisions: the old one is waited for (drain), or what it holds is closed once it
is gone (flatten). `adopt` needs nothing: the new revision takes over what the old one holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sigma_operator.kubernetes.objects import Object
from sigma_operator.strategy import render
from sigma_operator.strategy.close_jobs import CloseJobs
from sigma_operator.strategy.state import BotReadiness, StrategyState
from sigma_operator.strategy.observe import revision_of
from sigma_operator.strategy.revisions import RevisionHistory, RolloutProgress


@dataclass(frozen=True)
class RolloutPause:
    """Why the newest revision does not start yet. `stop`: the old bot must end first."""

    progress: RolloutProgress
    stop_old_pod: bool


@dataclass(frozen=True)
class RolloutDecision:
    """Between two revisions: what the new one waits for, and what went wrong where it waits no longer."""

    pause: RolloutPause | None = None
    warning: str = ""


def drain_pause(
    history: RevisionHistory,
    pods: Sequence[Object],
    observed: StrategyState,
    readiness: BotReadiness | None,
) -> RolloutPause | None:
    """While the old revision trades and holds something. One that can't close, since it is halted or down, is
    not waited for."""
    newest = history.entries[-1].revision
    if not pods or revision_of(pods[0]) == newest or observed.phase != "Running":
        return None
    if readiness is not None and readiness.flat:
        return None
    text = f"revision {newest} starts when {revision_of(pods[0])} holds nothing (swapPolicy: drain)"
    return RolloutPause(RolloutProgress(True, "Draining", text), stop_old_pod=False)


class Rollout:
    """Holds a new revision back as the swap policy says."""

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
        """Without a hold the newest revision may start. A close that failed holds nothing: a position with a
        bot is better than one without."""
        newest, proven = history.newest, history.last_ready
        if newest is None or newest.outcome != "Starting" or newest.warning is not None:
            return RolloutDecision()
        if proven is None or proven.revision == newest.revision:
            return RolloutDecision()
        policy = resource["spec"].get("swapPolicy", "adopt")
        if policy == "drain":
            return RolloutDecision(drain_pause(history, pods, observed, readiness))
        if policy == "flatten" and all(revision_of(pod) != newest.revision for pod in pods):
            return await self._flatten(resource, newest.revision, proven.revision, pods)
        return RolloutDecision()

    async def _flatten(
        self, resource: Object, newest: str, old: str, pods: Sequence[Object]
    ) -> RolloutDecision:
        text = f"revision {newest} starts when what {old} held is closed (swapPolicy: flatten)"
        held = RolloutDecision(RolloutPause(RolloutProgress(True, "Flattening", text), stop_old_pod=True))
        if pods:
            return held
        name = render.config_name(resource["metadata"]["name"], newest)
        outcome = await self.jobs.run(resource, name, old, "flatten")
        if not outcome.finished:
            return held
        if not outcome.problem:
            return RolloutDecision()
        return RolloutDecision(
            warning=f"what {old} held was not closed: {outcome.problem}; look at the account"
        )
