"""``sigma positions``: what bots hold, computed from their fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import db_option, money, output_option, plain, show_json, show_table, use_journal

if TYPE_CHECKING:
    from sigma_bot.journal import Journal
    from sigma_bot.journal.positions import Position


@click.command()
@click.argument("name", required=False)
@click.option("--closed", is_flag=True, help="Also what is not held any more.")
@output_option
@db_option
def positions(name: str | None, closed: bool, output: str, db: str | None) -> None:
    """Show what every bot, or bot NAME, holds: its fills added up at average cost.

    LIVE counts every fill of the bot, SIM those of its current run. The quantity is what the bot traded, not
    the venue's balance. Realized profit is without fees.
    """
    held = use_journal(lambda journal: _read(journal, name), db)
    shown = [(bot, position) for bot, position in held if closed or position.quantity]
    if output == "json":
        show_json([{"bot": bot, "average": position.average, **_fields(position)} for bot, position in shown])
        return
    if not shown:
        click.echo("no positions")
        return
    show_table(
        ("bot", "symbol", "quantity", "average price", "realized", "fees", "fills"),
        [
            (
                bot,
                position.symbol,
                plain(position.quantity),
                _short(position),
                money(position.realized),
                ", ".join(f"{plain(fee)} {currency}" for currency, fee in position.fees.items()),
                str(position.fills),
            )
            for bot, position in shown
        ],
        right=("quantity", "average price", "realized", "fills"),
    )


async def _read(journal: Journal, name: str | None) -> list[tuple[str, Position]]:
    from sigma_bot.journal.positions import positions as added_up

    if name is not None:
        await journal.run_of(name)  # refuses a name that is not known
    found = []
    for bot in await journal.bots():
        if name in (None, bot.name):
            run = None if bot.mode == "live" else bot.run
            entries = await journal.fills(bot.name, run=run, limit=None)
            found += [
                (bot.name, position)
                for position in added_up((entry.row for entry in reversed(entries)), bot.currency)
            ]
    return found


def _fields(position: Position) -> dict[str, object]:
    names = ("symbol", "quantity", "cost", "realized", "fees", "fills")
    return {name: getattr(position, name) for name in names}


def _short(position: Position) -> str:
    """The average to ten digits: a quotient has no end."""
    return "" if position.average is None else f"{position.average:.10g}"
