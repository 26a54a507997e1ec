"""What the journal refuses."""

from __future__ import annotations

from datetime import UTC, datetime

from sigma_bot.errors import SigmaError
from sigma_bot.model.orders import State


class JournalError(SigmaError):
    """The journal refuses to store this; nothing was stored."""


class IllegalTransitionError(JournalError):
    """An order was to go from one state to another that cannot follow on it."""

    def __init__(self, client_id: str, old: State, new: State) -> None:
        super().__init__(f"order {client_id}: {old.value} cannot become {new.value}; nothing was stored")
        self.client_id, self.old, self.new = client_id, old, new


class FillConflictError(JournalError):
    """A trade id came twice with different contents."""


class LeaseHeldError(SigmaError):
    """Another process trades for this bot, or does the work of this name, until ``until`` (ns UTC by the
    database's clock) at least."""

    def __init__(self, bot: str, holder: str, until: int, what: str = "bot") -> None:
        shown = datetime.fromtimestamp(until / 1e9, UTC).isoformat(timespec="milliseconds")
        super().__init__(f"{what} {bot!r} is run by {holder}, whose lease lasts until {shown}")
        self.bot, self.holder, self.until = bot, holder, until


class LeaseLostError(SigmaError):
    """The lease ended or went to another process: nothing was stored, and nothing may be sent."""
