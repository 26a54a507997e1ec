"""ExecutionAdapter: what SIM and LIVE do differently with a step of the bot."""

from __future__ import annotations

from typing import Any, Protocol

from sigma_bot.model.messages import TickBatch
from sigma_bot.model.orders import Change, Usage
from sigma_bot.trading.events import ExecutionEvent


class ExecutionAdapter(Protocol):
    """Where the engine's orders go. Nothing here waits but ``close``: what takes time runs in a task and puts
    its result into the mailbox."""

    def on_ticks(self, batch: TickBatch) -> None:
        """A batch is about to be handled."""

    def on_event(self, event: ExecutionEvent, change: Change) -> None:
        """Book what came from the venue, or from a task of this adapter."""

    def set_halted(self, halted: bool) -> None:
        """Trading is halted or goes on."""

    def collect(self, change: Change) -> None:
        """Put what the engine did into ``change``."""

    def needs_account_usage(self) -> bool:
        """Whether what the account's other bots use decides on what is stored now."""

    def apply_account_limits(self, change: Change, others: list[Usage]) -> None:
        """Inside the transaction: reject what of ``change`` the account's limits do not allow."""

    def has_outgoing(self) -> bool:
        """Whether something is to be sent once the step is stored, even if nothing else changed."""

    def on_committed(self) -> None:
        """The step is stored: send."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold besides engine and strategy, as plain JSON values."""

    def facts(self) -> dict[str, object]:
        """What /status says of the account besides the engine."""

    def log_asleep(self) -> None:
        """The bot ends: say what does nothing from now on."""

    async def close(self) -> None:
        """End what is under way. Nothing is sent afterwards."""
