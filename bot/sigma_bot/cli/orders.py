"""``sigma orders``: what bots have ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import (
    db_option,
    limit_option,
    output_option,
    show_json,
    show_table,
    use_journal,
)
from sigma_bot.decimals import trimmed
from sigma_bot.times import clock

if TYPE_CHECKING:
    from sigma_bot.journal import Journal, StoredRow
    from sigma_bot.model.orders import OrderRow
    from sigma_bot.trading.held_orders import HeldOrder


@click.command()
@click.argument("name", required=False)
@click.option("--open", "living", is_flag=True, help="Only orders that may still fill.")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only orders in this state.")
@click.option("--symbol", metavar="SYMBOL", help="Only of this symbol.")
@limit_option
@output_option
@db_option
def orders(
    name: str | None,
    living: bool,
    states: tuple[str, ...],
    symbol: str | None,
    limit: int,
    output: str,
    db: str | None,
) -> None:
    """List orders, the newest first, of every bot or of bot NAME.

    With --open the stops and exits that LIVE bots hold themselves come first: no venue knows of them.
    """
    from sigma_bot.journal.filters import Filter, parse_states
    from sigma_bot.model.orders import LIVING
    from sigma_bot.services.held_orders import list_held

    chosen = parse_states(states) or None
    if living:
        chosen = LIVING if chosen is None else LIVING & chosen
    wanted = Filter(name, symbol=symbol, states=chosen, limit=limit)

    async def read(journal: Journal) -> tuple[list[StoredRow[OrderRow]], list[StoredRow[HeldOrder]]]:
        held = [] if states or not living else await list_held(journal, name)
        chosen_held = [entry for entry in held if symbol in (None, entry.row.symbol)]
        return (await journal.orders(wanted)).rows, chosen_held

    found, held = use_journal(read, db)
    if output == "json":
        show_json([*found, *held])
        return
    entries: list[StoredRow[OrderRow] | StoredRow[HeldOrder]] = [*held, *found]
    if not entries:
        click.echo("no orders")
        return
    heads = (
        "created (UTC)",
        "bot",
        "order",
        "symbol",
        "side",
        "type",
        "quantity",
        "limit",
        "stop",
        "filled",
        "state",
        "id",
    )
    show_table(
        heads,
        [
            (
                clock(entry.row.created),
                entry.bot,
                str(entry.row.order_id),
                entry.row.symbol,
                entry.row.side,
                entry.row.order_type,
                trimmed(entry.row.quantity),
                "" if entry.row.limit_price is None else trimmed(entry.row.limit_price),
                "" if entry.row.stop_price is None else trimmed(entry.row.stop_price),
                trimmed(getattr(entry.row, "filled", 0)),
                _state(entry.row),
                getattr(entry.row, "client_id", ""),
            )
            for entry in entries
        ],
        right=("order", "quantity", "limit", "stop", "filled"),
    )


def _state(row: OrderRow | HeldOrder) -> str:
    reason = getattr(row, "reason", "")
    return f"{row.state}: {reason}" if reason else str(row.state)
