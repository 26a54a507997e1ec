"""Orders that LIVE bots hold themselves, from their last checkpoints."""

from __future__ import annotations

import logging

from sigma_bot.errors import SigmaError
from sigma_bot.journal import Journal, StoredRow
from sigma_bot.runtime import checkpoint
from sigma_bot.runtime.decision_engine import broker_for
from sigma_bot.spec import Strategy, parse_manifest
from sigma_bot.trading.held_orders import HeldOrder, held_orders

log = logging.getLogger(__name__)


async def list_held(journal: Journal, name: str | None) -> list[StoredRow[HeldOrder]]:
    """Of every LIVE bot, or of one, with whose they are. A bot whose state this version can't read is named
    in the log."""
    found = []
    for bot in await journal.bots():
        if bot.mode == "live" and name in (None, bot.name):
            try:
                found += await _held_by(journal, bot.name)
            except SigmaError as error:
                log.warning("%s: its held orders can't be read: %s", bot.name, error)
    return found


async def _held_by(journal: Journal, bot: str) -> list[StoredRow[HeldOrder]]:
    stored = await journal.load(bot)
    if stored is None or stored.state is None:
        return []
    manifest = parse_manifest((await journal.run_of(bot)).manifest)
    if not isinstance(manifest, Strategy):
        return []
    broker = broker_for(manifest.spec)
    checkpoint.look(stored.state, broker)
    symbols = tuple(market.symbol for market in manifest.spec.markets)
    return [StoredRow(bot, stored.run, stored.commit, order) for order in held_orders(broker, symbols)]
