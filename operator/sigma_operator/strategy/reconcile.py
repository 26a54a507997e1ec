"""Reconciles a Strategy: reads the present state, creates or repairs its children, writes the status.
Level-based: any call can be the first, and the one before may have failed anywhere."""

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
from sigma_operator.strategy.observe import (
    has_run,
    is_terminating,
    needs_events,
    observe,
    revision_of,
    status_of,
)
from sigma_operator.strategy.revisions import RevisionHistory
from sigma_operator.strategy.rollout import Rollout, RolloutDecision, RolloutPause
from sigma_operator.strategy.state import BotReadiness, StrategyState

RESYNC_S, POLL_S = 300.0, 5.0  # seconds until a Strategy is reconciled without an event, settled and not
STUCK_AFTER_S = 30.0  # seconds after which a pod that waits for a Secret is recreated

log = logging.getLogger("sigma_operator")


class BotProbe(Protocol):
    """Asks bots for their readiness."""

    async def probe_bot(self, namespace: str, name: str, pod: Object | None) -> BotReadiness | None:
        """The readiness of the bot in this pod; None without one."""
        ...


def seconds_between(earlier: str, later: str) -> float:
    """Both ISO 8601 with their offset."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def syntax_error(strategy: Strategy) -> str:
    """The syntax error of the source, empty without one, found before the old bot is stopped for it. What
    only a newer Python or a deeper stack can parse is left to the bot."""
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
    """The desired Strategy, and the error why it is not the resource's own."""

    strategy: Strategy | None
    history: RevisionHistory
    error: str = ""


class StrategyReconciler:
    """Reconciles the bots of Strategies."""

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
        self._applied: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def __call__(self, namespace: str, name: str) -> float | None:
        """One reconcile; seconds until the next one without an event, None: none is due."""
        resource = await self.api.get("Strategy", namespace, name)
        if resource is None:
            self._forget(namespace, name)
            await self.bots.probe_bot(namespace, name, None)
            return None
        if "deletionTimestamp" in resource["metadata"]:
            await self.bots.probe_bot(namespace, name, None)
            return await self.finalizer.finalize(resource)
        if FINALIZER not in resource["metadata"].get("finalizers", []):
            await self.writer.set_finalizers(resource, [FINALIZER])
        present = await self.api.get("StatefulSet", namespace, name)
        if present is not None and not owned_by(present, resource):
            text = f"the StatefulSet {name} is not of this Strategy; delete it or rename the Strategy"
            await self._write(
                resource,
                StrategyState("Pending", "NameConflict", text),
                RevisionHistory.of(resource),
                None,
            )
            return RESYNC_S
        return await self._reconcile(resource, present)

    async def _reconcile(self, resource: Object, present: Object | None) -> float:
        wanted = await self._desired(resource)
        suspend = bool(resource["spec"].get("suspend"))
        pods = await self._pods(resource)
        if wanted.strategy is None:  # no revision ran, and this one can't
            observed = StrategyState("Failed", "BadInput", wanted.error, permanent=True)
            await self._write(resource, observed, wanted.history, None, wanted.error)
            return RESYNC_S
        events = await self._events(resource, pods)
        readiness = await self._probe(resource, pods)
        observed = observe(suspend, pods, events, readiness)
        history = self._judge(wanted.history, observed, suspend)
        decision = (
            RolloutDecision()
            if suspend
            else await self.rollout.decide(resource, history, pods, observed, readiness)
        )
        pause = decision.pause
        if decision.warning:
            history = history.with_warning(decision.warning)
        # The revision is recorded before the pod of the one before it is stopped.
        await self._write(resource, observed, history, wanted.strategy, wanted.error, pause)
        if history.target() != wanted.history.target():
            return 0.0  # rolled back just now: the next reconcile runs it
        await self._apply(resource, present, wanted.strategy, self._replicas(suspend, pause))
        if pause is None:
            await self._replace_pod(pods, observed, render.revision_hash(wanted.strategy))
        await self._prune(resource, history)
        return POLL_S if pause is not None or observed.phase in ("Pending", "Starting") else RESYNC_S

    @staticmethod
    def _replicas(suspend: bool, pause: RolloutPause | None) -> int | None:
        """Replicas of the StatefulSet, one at most; None leaves them as they are."""
        if pause is not None:
            return 0 if pause.stop_old_pod else None
        return 0 if suspend else 1

    # --- desired state -------------------------------------------------------------------------------------

    async def _desired(self, resource: Object) -> Desired:
        """The resource's own Strategy, or, while that can't be run, the revision that ran before."""
        history = RevisionHistory.of(resource)
        error, strategy = "", None
        try:
            strategy = render.parse_strategy(resource)
            error = render.validate(strategy, self.settings) or syntax_error(strategy)
        except BadInputError as invalid:
            error = str(invalid)
        if not error and strategy is not None:
            history = history.with_revision(render.revision_hash(strategy), self.writer.now())
            if resource["spec"].get("suspend"):
                history = history.with_retry()
            if history.target() == render.revision_hash(strategy):
                return Desired(strategy, history)
        if not history.entries:
            return Desired(None, history, error)
        earlier = await self.jobs.stored_strategy(resource, history.target())
        if earlier is None and not error:
            return Desired(strategy, history, "the revision that ran before is gone with its ConfigMap")
        return Desired(earlier, history, error)

    def _judge(self, history: RevisionHistory, observed: StrategyState, suspend: bool) -> RevisionHistory:
        if observed.pod is None or suspend or is_terminating(observed.pod):
            return history
        waited = seconds_between(observed.pod["metadata"]["creationTimestamp"], self.writer.now())
        return history.with_verdict(
            revision_of(observed.pod), observed, waited, self.settings.progress_deadline
        )

    # --- present state --------------------------------------------------------------------------------------

    async def _pods(self, resource: Object) -> list[Object]:
        meta = resource["metadata"]
        selector = f"{STRATEGY_LABEL}={meta['name']},{COMPONENT}={render.BOT}"
        pods = await self.api.select("Pod", meta["namespace"], selector)
        return [pod for pod in pods if pod["metadata"]["name"] == f"{meta['name']}-0"]

    async def _events(self, resource: Object, pods: list[Object]) -> list[Object]:
        meta = resource["metadata"]
        return await self.api.events(meta["namespace"], f"{meta['name']}-0") if needs_events(pods) else []

    async def _probe(self, resource: Object, pods: list[Object]) -> BotReadiness | None:
        meta = resource["metadata"]
        alive = next((pod for pod in pods if not is_terminating(pod)), None)
        return await self.bots.probe_bot(meta["namespace"], meta["name"], alive)

    # --- changes ---------------------------------------------------------------------------------------

    async def _apply(
        self, resource: Object, present: Object | None, strategy: Strategy, replicas: int | None
    ) -> None:
        """Create missing children and repair changed ones; what is as desired is not written."""
        meta = resource["metadata"]
        documents = [render.config_map(resource, strategy)]
        if self.settings.network_policy:
            documents.append(render.network_policy(resource, self.settings))
        if replicas is not None:
            documents.append(render.stateful_set(resource, strategy, self.settings, replicas))
        for document in documents:
            kind, name = document["kind"], document["metadata"]["name"]
            known = present if kind == "StatefulSet" else await self.api.get(kind, meta["namespace"], name)
            key, made = (kind, meta["namespace"], name), content_hash(document)
            if known is not None and self._applied.get(key) == (made, fingerprint(known)):
                continue
            applied = await self.api.apply(document)
            self._applied[key] = (made, fingerprint(applied))

    async def _replace_pod(self, pods: list[Object], observed: StrategyState, revision: str) -> None:
        """Delete the pod of another revision, and one that has waited long for a Secret. The StatefulSet
        recreates it."""
        for pod in pods:
            if is_terminating(pod):
                continue
            meta = pod["metadata"]
            waited = seconds_between(meta["creationTimestamp"], self.writer.now())
            stuck = observed.reason in ("SecretMissing", "VolumeMissing") and waited > STUCK_AFTER_S
            stuck = stuck and not has_run(pod)  # its mount Events are from its start
            if revision_of(pod) != revision or stuck:
                await self.api.delete("Pod", meta["namespace"], meta["name"], meta["uid"])

    async def _prune(self, resource: Object, history: RevisionHistory) -> None:
        """Delete the ConfigMaps of revisions that have left the history."""
        meta = resource["metadata"]
        for revision in history.removed_since(RevisionHistory.of(resource)):
            await self.api.delete("ConfigMap", meta["namespace"], render.config_name(meta["name"], revision))

    async def _write(
        self,
        resource: Object,
        observed: StrategyState,
        history: RevisionHistory,
        strategy: Strategy | None,
        error: str = "",
        pause: RolloutPause | None = None,
    ) -> None:
        running: Mapping[str, Any] = {}
        if strategy is not None:
            running = {"mode": strategy.spec.mode, "code_digest": render.code_digest(strategy) or None}
        progress = history.progress(observed, error) if pause is None else pause.progress
        status = status_of(resource, observed, history, self.writer.now(), running, progress)
        warning = observed.phase in ("Failed", "Halted", "Pending") and observed.reason != "Starting"
        await self.writer.write_status(resource, status, observed.message, warning)
        before = RevisionHistory.of(resource).newest
        newest = history.newest
        if newest is None or newest == before:
            return
        if newest.outcome == "RolledBack":
            await self.writer.record_event(resource, "RolledBack", history.progress(observed).message, True)
        elif newest.warning is not None and (before is None or newest.warning != before.warning):
            await self.writer.record_event(
                resource, "FlattenFailed", history.progress(observed).message, True
            )

    def _forget(self, namespace: str, name: str) -> None:
        for key in [key for key in self._applied if key[1] == namespace and key[2].startswith(name)]:
            del self._applied[key]


def fingerprint(child: Object) -> str:
    """A hash that changes when somebody changes the child, and not when its status does."""
    meta = child["metadata"]
    identity = [meta["uid"], meta.get("generation"), meta.get("labels"), meta.get("ownerReferences")]
    return content_hash([*identity, child.get("data")])
