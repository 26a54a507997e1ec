"""The readiness that a bot reports, and the observed state of its Strategy."""

from __future__ import annotations

from dataclasses import dataclass

from sigma_operator.crds.status import Halt, StrategyPhase
from sigma_operator.kubernetes.objects import ObjectView


@dataclass(frozen=True)
class BotReadiness:
    """What the bot reports at /readyz."""

    reason: str = ""
    message: str = ""
    halted: bool = False
    since: str = ""
    flat: bool = False
    """It holds nothing and has no open order."""


@dataclass(frozen=True)
class StrategyState:
    """The observed state of a Strategy, and why. `permanent`: its revision can't become ready."""

    phase: StrategyPhase
    reason: str
    message: str
    ready: bool = False
    permanent: bool = False
    halt: Halt | None = None
    pod: ObjectView | None = None
    readiness: BotReadiness | None = None
