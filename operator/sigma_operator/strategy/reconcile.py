"""One step for one Strategy: read the truth, make or repair what should be, write what changed. Any step can
be the first, and the last may have broken off anywhere."""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sigma_bot.errors import BadInputError
from sigma_bot.spec import Strategy
from sigma_operator.kubernetes.api import Api
from sigma_operator.kubernetes.objects import COMPONENT, Object, content_hash, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import STRATEGY_LABEL, Settings
from sigma_operator.strategy import render
from sigma_operator.strategy.close_jobs import CloseJobs
from sigma_operator.strategy.finalizer import FINALIZER, Finalizer
from sigma_operator.strategy.findings import Answer, Finding
from sigma_operator.strategy.observe import find, has_run, leaving, needs_events, revision_of, status_of
from sigma_operator.strategy.revisions import History
from sigma_operator.strategy.rollout import Hold, Rollout, RolloutDecision

RESYNC, UNSETTLED = 300.0, 5.0  # seconds until a Strategy is looked at without being woken
STUCK = 30.0  # seconds after which a pod that waits for a Secret is made anew: the kubelet looks ever later

log = logging.getLogger("sigma_operator")


class BotProbe(Protocol):
    """Who can be asked how a bot does."""

    async def ask(self, namespace: str, name: str, pod: Object | None) -> Answer | None:
        """The answer of the bot in this pod; None without one."""
        ...


def seconds_between(earlier: str, later: str) -> float:
    """Both ISO 8601 with their offset."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def syntax_error(strategy: Strategy) -> str:
    """What is wrong with the source, before anything is stopped for it. What only a newer Python or a deeper
    stack can read is left to the bot."""
    code = strategy.spec.strategy.code
    try:
        ast.parse(code or "")
    except SyntaxError as error:
        return f"spec.strategy.code:{error.lineno}: {error.msg}\n    {(error.text or '').strip()}"
    except (ValueError, RecursionError, MemoryError):
        return ""
    return ""


@dataclass(frozen=True)
class Desired:
    """What is to run: a content, and why it is not the resource's own."""

    strategy: Strategy | None
    history: History
    refusal: str = ""


class StrategyReconciler:
    """Keeps the bots of Strategies as they should be."""

    def __init__(
        self, api: Api, settings: Settings, bots: BotProbe, writer: StatusWriter | None = None
    ) -> None:
        self.api = api
        self.settings = settings.bot
        self.bots = bots
        self.writer = writer or StatusWriter(api)
        self.jobs = CloseJobs(api, self.settings, self.writer)
        self.finalizer = Finalizer(api, self.settings, self.writer, self.jobs)
        self.rollout = Rollout(self.jobs)
        self._made: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def __call__(self, namespace: str, name: str) -> float | None:
        """One step; seconds until the next one is due even if nothing wakes it, None: never."""
        resource = await self.api.get("Strategy", namespace, name)
        if resource is None:
            self._forget(namespace, name)
            await self.bots.ask(namespace, name, None)
            return None
        if "deletionTimestamp" in resource["metadata"]:
            await self.bots.ask(namespace, name, None)
            return await self.finalizer.finalize(resource)
        if FINALIZER not in resource["metadata"].get("finalizers", []):
            await self.writer.finalizers(resource, [FINALIZER])
        present = await self.api.get("StatefulSet", namespace, name)
        if present is not None and not owned_by(present, resource):
            text = f"the StatefulSet {name} is not of this Strategy; delete it or rename the Strategy"
            await self._write(resource, Finding("Pending", "NameConflict", text), History.of(resource), None)
            return RESYNC
        return await self._reconcile(resource, present)

    async def _reconcile(self, resource: Object, present: Object | None) -> float:
        wanted = await self._desired(resource)
        suspend = bool(resource["spec"].get("suspend"))
        pods = await self._pods(resource)
        if wanted.strategy is None:  # nothing that ran, nothing that can
            finding = Finding("Failed", "BadInput", wanted.refusal, final=True)
            await self._write(resource, finding, wanted.history, None, wanted.refusal)
            return RESYNC
        events = await self._events(resource, pods)
        answer = await self._ask(resource, pods)
        finding = find(suspend, pods, events, answer)
        history = self._assess(wanted.history, finding, suspend)
        swap = (
            RolloutDecision()
            if suspend
            else await self.rollout.decide(resource, history, pods, finding, answer)
        )
        hold = swap.hold
        if swap.warning:
            history = history.warned(swap.warning)
        # The revision is recorded before the pod of the one before it is stopped.
        await self._write(resource, finding, history, wanted.strategy, wanted.refusal, hold)
        if history.to_run() != wanted.history.to_run():
            return 0.0  # rolled back just now: the next step sees to it
        await self._apply(resource, present, wanted.strategy, self._replicas(suspend, hold))
        if hold is None:
            await self._replace(pods, finding, render.revision(wanted.strategy))
        await self._prune(resource, history)
        return UNSETTLED if hold is not None or finding.phase in ("Pending", "Starting") else RESYNC

    @staticmethod
    def _replicas(suspend: bool, hold: Hold | None) -> int | None:
        """How many bots there are to be, one at most; None leaves the old one as it is."""
        if hold is not None:
            return 0 if hold.stop else None
        return 0 if suspend else 1

    # --- what is to run -------------------------------------------------------------------------------------

    async def _desired(self, resource: Object) -> Desired:
        """The resource's own content, or, while that can't be run, the one that ran before."""
        history = History.of(resource)
        refusal, strategy = "", None
        try:
            strategy = render.read(resource)
            refusal = render.refusal(strategy, self.settings) or syntax_error(strategy)
        except BadInputError as error:
            refusal = str(error)
        if not refusal and strategy is not None:
            history = history.take_up(render.revision(strategy), self.writer.now())
            if resource["spec"].get("suspend"):
                history = history.resumed()
            if history.to_run() == render.revision(strategy):
                return Desired(strategy, history)
        if not history.entries:
            return Desired(None, history, refusal)
        earlier = await self.jobs.recorded(resource, history.to_run())
        if earlier is None and not refusal:
            return Desired(strategy, history, "the revision that ran before is gone with its ConfigMap")
        return Desired(earlier, history, refusal)

    def _assess(self, history: History, finding: Finding, suspend: bool) -> History:
        if finding.pod is None or suspend or leaving(finding.pod):
            return history
        waited = seconds_between(finding.pod["metadata"]["creationTimestamp"], self.writer.now())
        return history.judged(revision_of(finding.pod), finding, waited, self.settings.progress_deadline)

    # --- what there is --------------------------------------------------------------------------------------

    async def _pods(self, resource: Object) -> list[Object]:
        own = resource["metadata"]
        selector = f"{STRATEGY_LABEL}={own['name']},{COMPONENT}={render.BOT}"
        pods = await self.api.select("Pod", own["namespace"], selector)
        return [pod for pod in pods if pod["metadata"]["name"] == f"{own['name']}-0"]

    async def _events(self, resource: Object, pods: list[Object]) -> list[Object]:
        own = resource["metadata"]
        return await self.api.events(own["namespace"], f"{own['name']}-0") if needs_events(pods) else []

    async def _ask(self, resource: Object, pods: list[Object]) -> Answer | None:
        own = resource["metadata"]
        alive = next((pod for pod in pods if not leaving(pod)), None)
        return await self.bots.ask(own["namespace"], own["name"], alive)

    # --- what is done ---------------------------------------------------------------------------------------

    async def _apply(
        self, resource: Object, present: Object | None, strategy: Strategy, replicas: int | None
    ) -> None:
        """Make what is missing, put right what was changed by hand; what is right is not written."""
        own = resource["metadata"]
        documents = [render.config_map(resource, strategy)]
        if self.settings.network_policy:
            documents.append(render.network_policy(resource, self.settings))
        if replicas is not None:
            documents.append(render.stateful_set(resource, strategy, self.settings, replicas))
        for document in documents:
            kind, name = document["kind"], document["metadata"]["name"]
            known = present if kind == "StatefulSet" else await self.api.get(kind, own["namespace"], name)
            key, made = (kind, own["namespace"], name), content_hash(document)
            if known is not None and self._made.get(key) == (made, trace(known)):
                continue
            applied = await self.api.apply(document)
            self._made[key] = (made, trace(applied))

    async def _replace(self, pods: list[Object], finding: Finding, revised: str) -> None:
        """End the pod of another revision, and one that has waited long for a Secret. The StatefulSet makes
        the next one when it is gone."""
        for pod in pods:
            if leaving(pod):
                continue
            own = pod["metadata"]
            waited = seconds_between(own["creationTimestamp"], self.writer.now())
            stuck = finding.reason in ("SecretMissing", "VolumeMissing") and waited > STUCK
            stuck = stuck and not has_run(pod)  # its Events are of its beginning
            if revision_of(pod) != revised or stuck:
                await self.api.delete("Pod", own["namespace"], own["name"], own["uid"])

    async def _prune(self, resource: Object, history: History) -> None:
        """Delete the ConfigMaps of contents that have left the history."""
        own = resource["metadata"]
        for revised in history.forgotten(History.of(resource)):
            await self.api.delete("ConfigMap", own["namespace"], render.config_name(own["name"], revised))

    async def _write(
        self,
        resource: Object,
        finding: Finding,
        history: History,
        strategy: Strategy | None,
        refusal: str = "",
        hold: Hold | None = None,
    ) -> None:
        running: Mapping[str, Any] = {}
        if strategy is not None:
            running = {"mode": strategy.spec.mode, "code_digest": render.code_digest(strategy) or None}
        progress = history.progress(finding, refusal) if hold is None else hold.progress
        status = status_of(resource, finding, history, self.writer.now(), running, progress)
        trouble = finding.phase in ("Failed", "Halted", "Pending") and finding.reason != "Starting"
        await self.writer.status(resource, status, finding.message, trouble)
        before = History.of(resource).newest
        newest = history.newest
        if newest is None or newest == before:
            return
        if newest.outcome == "RolledBack":
            await self.writer.tell(resource, "RolledBack", history.progress(finding).message, True)
        elif newest.warning is not None and (before is None or newest.warning != before.warning):
            await self.writer.tell(resource, "FlattenFailed", history.progress(finding).message, True)

    def _forget(self, namespace: str, name: str) -> None:
        for key in [key for key in self._made if key[1] == namespace and key[2].startswith(name)]:
            del self._made[key]


def trace(child: Object) -> str:
    """What changes when somebody changes the child, and not when its status does."""
    own = child["metadata"]
    marks = [own["uid"], own.get("generation"), own.get("labels"), own.get("ownerReferences")]
    return content_hash([*marks, child.get("data")])
