"""What a bus cannot do, in words for the user. No message carries a password."""

from __future__ import annotations

from sigma_bot.errors import SigmaError


class BusError(SigmaError):
    """The bus cannot be used now. The message names it (password hidden), says why and what would help."""


class GapError(BusError):
    """An entry was refused because those before it are missing; ``last`` is the newest sequence number."""

    def __init__(self, where: str, log: str, seq: int, last: int) -> None:
        super().__init__(
            f"{where}: log {log}: entry {seq} was refused, the newest being {last}; append {last + 1} first"
        )
        self.last = last


def check_seq(seq: int) -> None:
    """Redis has no entry 0, so no log has. Raises ValueError."""
    if seq < 1:
        raise ValueError(f"the sequence numbers of a log begin at 1, got {seq}")
