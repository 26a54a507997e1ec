"""What happens between two revisions: the old one is waited for (drain), or what it holds is closed once it
is gone (flatten). `adopt` needs nothing: the new revision takes over what the old one holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sigma_operator import bot
from sigma_operator.jobs import CloseJobs
from sigma_operator.objects import Object
from sigma_operator.observe_bot import Answer, Finding, revision_of
from sigma_operator.revisions import History, Progress


@dataclass(frozen=True)
class Hold:
    """Why the newest revision does not start yet. `stop`: the old bot must end first."""

    progress: Progress
    stop: bool


@dataclass(frozen=True)
class Swap:
    """Between two revisions: what the new one waits for, and what went wrong where it waits no longer."""

    hold: Hold | None = None
    trouble: str = ""


def draining(
    history: History, pods: Sequence[Object], finding: Finding, answer: Answer | None
) -> Hold | None:
    """While the old revision trades and holds something. One that can't close, since it is halted or down, is
    not waited for."""
    newest = history.entries[-1].revision
    if not pods or revision_of(pods[0]) == newest or finding.phase != "Running":
        return None
    if answer is not None and answer.flat:
        return None
    text = f"revision {newest} starts when {revision_of(pods[0])} holds nothing (swapPolicy: drain)"
    return Hold(Progress(True, "Draining", text), stop=False)


class Swapper:
    """Holds a new revision back as the swap policy says."""

    def __init__(self, jobs: CloseJobs) -> None:
        self.jobs = jobs

    async def hold(
        self,
        resource: Object,
        history: History,
        pods: Sequence[Object],
        finding: Finding,
        answer: Answer | None,
    ) -> Swap:
        """Without a hold the newest revision may start. A close that failed holds nothing: a position with a
        bot is better than one without."""
        newest, proven = history.newest, history.proven
        if newest is None or newest.outcome != "Starting" or newest.warning is not None:
            return Swap()
        if proven is None or proven.revision == newest.revision:
            return Swap()
        policy = resource["spec"].get("swapPolicy", "adopt")
        if policy == "drain":
            return Swap(draining(history, pods, finding, answer))
        if policy == "flatten" and all(revision_of(pod) != newest.revision for pod in pods):
            return await self._flatten(resource, newest.revision, proven.revision, pods)
        return Swap()

    async def _flatten(self, resource: Object, newest: str, old: str, pods: Sequence[Object]) -> Swap:
        text = f"revision {newest} starts when what {old} held is closed (swapPolicy: flatten)"
        held = Swap(Hold(Progress(True, "Flattening", text), stop=True))
        if pods:
            return held
        name = bot.config_name(resource["metadata"]["name"], newest)
        outcome = await self.jobs.run(resource, name, old, "flatten")
        if not outcome.over:
            return held
        if not outcome.problem:
            return Swap()
        return Swap(trouble=f"what {old} held was not closed: {outcome.problem}; look at the account")
