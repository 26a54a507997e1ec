"""Every table there is, in one MetaData: those of runs, of the journal and of market data."""

from __future__ import annotations

import sigma_bot.data.schema
import sigma_bot.journal.schema
import sigma_bot.results.schema
from sigma_bot.database.columns import metadata

ROOMS = (sigma_bot.data.schema, sigma_bot.journal.schema, sigma_bot.results.schema)
"""Whose tables they are; importing a room's schema adds them to ``metadata``."""

__all__ = ["ROOMS", "metadata"]
