"""The contents a Strategy had and which of them runs. Pure; what it remembers is in the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sigma_operator.crds.status import Revision
from sigma_operator.strategy.findings import Finding

KEPT = 10


@dataclass(frozen=True)
class Progress:
    """Whether a new revision is on its way."""

    on: bool
    reason: str
    message: str


@dataclass(frozen=True)
class History:
    """The last contents, the newest last."""

    entries: tuple[Revision, ...] = ()

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> History:
        """As the resource's status has it."""
        return cls(tuple(Revision(**entry) for entry in resource.get("status", {}).get("revisions", ())))

    @property
    def newest(self) -> Revision | None:
        """The content that was taken up last."""
        return self.entries[-1] if self.entries else None

    @property
    def proven(self) -> Revision | None:
        """The newest content that once was ready."""
        return next((entry for entry in reversed(self.entries) if entry.outcome == "Ready"), None)

    def take_up(self, wanted: str, now: str) -> History:
        """With the content that is wanted now, if that is another one."""
        if self.newest is not None and self.newest.revision == wanted:
            return self
        ran = self.proven is not None and self.proven.revision == wanted
        entry = Revision(revision=wanted, time=now, outcome="Ready" if ran else "Starting")
        kept = (*self._closed(), entry)
        dropped = kept[:-KEPT]
        if dropped and self.proven in dropped and self.proven is not None:
            return History((self.proven, *kept[-KEPT + 1 :]))  # what a roll-back would go back to
        return History(kept[-KEPT:])

    def _closed(self) -> tuple[Revision, ...]:
        """A content that another one follows before it was ready has failed."""
        newest = self.newest
        if newest is None or newest.outcome != "Starting":
            return self.entries
        return (*self.entries[:-1], newest.model_copy(update={"outcome": "Failed"}))

    def _with(self, outcome: str, message: str = "") -> History:
        newest = self.entries[-1].model_copy(update={"outcome": outcome, "message": message[-1024:] or None})
        return replace(self, entries=(*self.entries[:-1], newest))

    def warned(self, problem: str) -> History:
        """What the revision before held could not be closed; the newest takes it over."""
        newest = self.entries[-1].model_copy(update={"warning": problem[-1024:]})
        return replace(self, entries=(*self.entries[:-1], newest))

    def to_run(self) -> str:
        """The revision to run: the newest, or the one that ran before where the newest was taken back."""
        newest = self.entries[-1]
        if newest.outcome == "RolledBack" and self.proven is not None:
            return self.proven.revision
        return newest.revision

    def resumed(self) -> History:
        """Suspended: a content that was taken back is tried anew afterwards."""
        newest = self.newest
        return self._with("Starting") if newest is not None and newest.outcome == "RolledBack" else self

    def judged(self, running: str, finding: Finding, waited: float, deadline: float) -> History:
        """With what became of the newest content, whose pod has been there for `waited` seconds."""
        newest = self.newest
        if newest is None or newest.outcome != "Starting" or running != newest.revision:
            return self
        if finding.ready or finding.phase == "Halted":
            return self._with("Ready")
        if self.proven is not None and (finding.final or waited > deadline):
            return self._with("RolledBack", finding.message)
        return self

    def forgotten(self, earlier: History) -> set[str]:
        """Contents of an earlier history that nothing here needs any more."""
        return {e.revision for e in earlier.entries} - {e.revision for e in self.entries}

    def progress(self, finding: Finding, refusal: str = "") -> Progress:
        """The condition Progressing."""
        newest = self.newest
        if refusal:
            return Progress(False, "BadInput", refusal)
        if newest is None:
            return Progress(True, "Starting", "nothing has run yet")
        if newest.outcome == "RolledBack":
            runs = f"revision {self.to_run()} runs again"
            why = newest.message or "no reason was told"
            text = f"revision {newest.revision} did not become ready, {runs}"
            remedy = "change it, or suspend and resume to try it once more"
            return Progress(False, "RolledBack", f"{text}; {remedy}. {why}")
        if newest.warning is not None:
            text = f"revision {newest.revision} took over what was held: {newest.warning}"
            return Progress(newest.outcome == "Starting", "FlattenFailed", text)
        if newest.outcome == "Starting" and finding.phase != "Suspended":
            return Progress(True, "Starting", f"revision {newest.revision} is on its way")
        return Progress(False, "Settled", f"revision {newest.revision} is the newest")
