"""Why a strategy cannot be compiled. Separate, so that saying it needs nothing else of the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sigma_bot.errors import SigmaError


@dataclass(frozen=True)
class Refusal:
    """One reason why a strategy runs interpreted. ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    source: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.file}:{self.line}: {self.reason}{remedy}" + (
            f"\n    {self.source}" if self.source else ""
        )


class CannotCompileError(SigmaError):
    """The strategy is outside the compiled subset; ``refusals`` says where and why."""

    exit_code = 2

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(map(str, self.refusals)))
