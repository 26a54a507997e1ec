"""What bots hold, computed from their fills."""

from __future__ import annotations

from sigma_bot.journal import Filter, Journal
from sigma_bot.journal.positions import Position
from sigma_bot.journal.positions import positions as add_up

FIELDS = ("symbol", "quantity", "cost", "realized", "fees", "fills")


async def positions(journal: Journal, name: str | None) -> list[tuple[str, Position]]:
    """Bot and position, of every bot or of one: LIVE of every fill, SIM of those of the current run. Closed
    ones are among them. Raises BadInputError for a name that is not known."""
    if name is not None:
        await journal.run_of(name)
    found = []
    for bot in await journal.bots():
        if name in (None, bot.name):
            run = None if bot.mode == "live" else bot.run
            fills = await journal.fills(Filter(bot.name, run=run, limit=None))
            held = add_up((entry.row for entry in reversed(fills.rows)), bot.currency)
            found += [(bot.name, position) for position in held]
    return found


def document(bot: str, position: Position) -> dict[str, object]:
    """One position for JSON."""
    return {
        "bot": bot,
        "average": position.average,
        **{name: getattr(position, name) for name in FIELDS},
    }
