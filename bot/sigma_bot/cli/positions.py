"""``sigma positions``: what bots hold, computed from their fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import db_option, money, output_option, show_json, show_table, use_journal
from sigma_bot.decimals import trimmed

if TYPE_CHECKING:
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
    from sigma_bot.services import positions as service

    held = use_journal(lambda journal: service.positions(journal, name), db)
    shown = [(bot, position) for bot, position in held if closed or position.quantity]
    if output == "json":
        show_json([service.document(bot, position) for bot, position in shown])
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
                trimmed(position.quantity),
                _short(position),
                money(position.realized),
                ", ".join(f"{trimmed(fee)} {currency}" for currency, fee in position.fees.items()),
                str(position.fills),
            )
            for bot, position in shown
        ],
        right=("quantity", "average price", "realized", "fills"),
    )


def _short(position: Position) -> str:
    """The average to ten digits: a quotient has no end."""
    return "" if position.average is None else f"{position.average:.10g}"
