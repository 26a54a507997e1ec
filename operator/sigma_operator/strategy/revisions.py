"""The revision history of a Strategy, and which revision runs. Pure; the history is kept in the status."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sigma_operator.crds.status import Revision
from sigma_operator.kubernetes.objects import ObjectView
from sigma_operator.strategy.state import StrategyState

HISTORY_LIMIT = 10


@dataclass(frozen=True)
class RolloutProgress:
    """The condition Progressing."""

    active: bool
    reason: str
    message: str


@dataclass(frozen=True)
class RevisionHistory:
    """The last revisions, the newest last."""

    entries: tuple[Revision, ...] = ()

    @classmethod
    def of(cls, resource: ObjectView) -> RevisionHistory:
        """As the resource's status has it."""
        return cls(tuple(Revision(**entry) for entry in resource.get("status", {}).get("revisions", ())))

    @property
    def newest(self) -> Revision | None:
        """The newest revision."""
        return self.entries[-1] if self.entries else None

    @property
    def last_ready(self) -> Revision | None:
        """The newest revision that was ready."""
        return next((entry for entry in reversed(self.entries) if entry.outcome == "Ready"), None)

    def with_revision(self, wanted: str, now: str) -> RevisionHistory:
        """With the revision of the present spec, if it is another one than the newest."""
        if self.newest is not None and self.newest.revision == wanted:
            return self
        ran = self.last_ready is not None and self.last_ready.revision == wanted
        entry = Revision(revision=wanted, time=now, outcome="Ready" if ran else "Starting")
        kept = (*self._superseded(), entry)
        dropped = kept[:-HISTORY_LIMIT]
        if dropped and self.last_ready in dropped and self.last_ready is not None:
            target = self.last_ready  # of a roll-back
            return RevisionHistory((target, *kept[-HISTORY_LIMIT + 1 :]))
        return RevisionHistory(kept[-HISTORY_LIMIT:])

    def _superseded(self) -> tuple[Revision, ...]:
        """The entries, the newest one Failed if it was not ready yet."""
        newest = self.newest
        if newest is None or newest.outcome != "Starting":
            return self.entries
        return (*self.entries[:-1], newest.model_copy(update={"outcome": "Failed"}))

    def _with_outcome(self, outcome: str, message: str = "") -> RevisionHistory:
        newest = self.entries[-1].model_copy(update={"outcome": outcome, "message": message[-1024:] or None})
        return replace(self, entries=(*self.entries[:-1], newest))

    def with_warning(self, problem: str) -> RevisionHistory:
        """With the warning that the position before could not be closed; the newest revision takes it
        over."""
        newest = self.entries[-1].model_copy(update={"warning": problem[-1024:]})
        return replace(self, entries=(*self.entries[:-1], newest))

    def target(self) -> str:
        """The revision to run: the newest, or the last ready one where the newest was rolled back."""
        newest = self.entries[-1]
        if newest.outcome == "RolledBack" and self.last_ready is not None:
            return self.last_ready.revision
        return newest.revision

    def with_retry(self) -> RevisionHistory:
        """With a rolled-back newest revision to be tried again, once the Strategy is resumed."""
        newest = self.newest
        return (
            self._with_outcome("Starting") if newest is not None and newest.outcome == "RolledBack" else self
        )

    def with_verdict(
        self, running: str, observed: StrategyState, waited: float, deadline: float
    ) -> RevisionHistory:
        """With the outcome of the newest revision, whose pod is `waited` seconds old."""
        newest = self.newest
        if newest is None or newest.outcome != "Starting" or running != newest.revision:
            return self
        if observed.ready or observed.phase == "Halted":
            return self._with_outcome("Ready")
        if self.last_ready is not None and (observed.permanent or waited > deadline):
            return self._with_outcome("RolledBack", observed.message)
        return self

    def removed_since(self, earlier: RevisionHistory) -> set[str]:
        """Revisions of an earlier history that this one no longer has."""
        return {e.revision for e in earlier.entries} - {e.revision for e in self.entries}

    def progress(self, observed: StrategyState, error: str = "") -> RolloutProgress:
        """The condition Progressing."""
        newest = self.newest
        if error:
            return RolloutProgress(False, "BadInput", error)
        if newest is None:
            return RolloutProgress(True, "Starting", "nothing has run yet")
        if newest.outcome == "RolledBack":
            runs = f"revision {self.target()} runs again"
            why = newest.message or "no reason was told"
            text = f"revision {newest.revision} did not become ready, {runs}"
            remedy = "change it, or suspend and resume to try it once more"
            return RolloutProgress(False, "RolledBack", f"{text}; {remedy}. {why}")
        if newest.warning is not None:
            text = f"revision {newest.revision} took over what was held: {newest.warning}"
            return RolloutProgress(newest.outcome == "Starting", "FlattenFailed", text)
        if newest.outcome == "Starting" and observed.phase != "Suspended":
            return RolloutProgress(True, "Starting", f"revision {newest.revision} is on its way")
        return RolloutProgress(False, "Settled", f"revision {newest.revision} is the newest")
