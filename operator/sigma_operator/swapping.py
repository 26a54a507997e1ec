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
    ) -> Hold | None:
        """None when the newest revision may start."""
        newest, proven = history.newest, history.proven
        if newest is None or newest.outcome != "Starting" or proven is None:
            return None
        if proven.revision == newest.revision:
            return None
        policy = resource["spec"].get("swapPolicy", "adopt")
        if policy == "drain":
            return draining(history, pods, finding, answer)
        if policy != "flatten" or any(revision_of(pod) == newest.revision for pod in pods):
            return None
        text = f"revision {newest.revision} starts when what {proven.revision} held is closed"
        held = Hold(Progress(True, "Flattening", f"{text} (swapPolicy: flatten)"), stop=True)
        if pods:
            return held
        name = bot.config_name(resource["metadata"]["name"], newest.revision)
        outcome = await self.jobs.run(resource, name, proven.revision, "flatten")
        return None if outcome.over else held
