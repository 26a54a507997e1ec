"""What a bot says of itself, and where its Strategy stands by it."""

from __future__ import annotations

from dataclasses import dataclass

from sigma_operator.crds.status import Halt, StrategyPhase
from sigma_operator.kubernetes.conditions import Object


@dataclass(frozen=True)
class BotReadiness:
    """What the bot itself says at /readyz."""

    reason: str = ""
    message: str = ""
    halted: bool = False
    since: str = ""
    flat: bool = False
    """It holds nothing and has no open order."""


@dataclass(frozen=True)
class StrategyState:
    """Where a Strategy stands, and why. `final`: its content can't become ready."""

    phase: StrategyPhase
    reason: str
    message: str
    ready: bool = False
    permanent: bool = False
    halt: Halt | None = None
    pod: Object | None = None
    readiness: BotReadiness | None = None
