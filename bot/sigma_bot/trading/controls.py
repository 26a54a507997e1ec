"""The controls that hold for one bot: halts and flattens, given from outside its process."""

from __future__ import annotations

from sigma_bot.journal.journal import Journal
from sigma_bot.journal.types import Controls


class ControlsReader:
    """Reads them from the journal."""

    def __init__(self, journal: Journal, bot: str) -> None:
        self._journal, self._bot = journal, bot

    async def read(self) -> Controls:
        """As they stand now. Raises StorageError."""
        return await self._journal.controls_for(self._bot)
