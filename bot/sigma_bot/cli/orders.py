"""``sigma orders``: what bots have ordered."""

from __future__ import annotations

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
    """List orders, the newest first, of every bot or of bot NAME."""
    from sigma_bot.journal.filters import Filter, parse_states
    from sigma_bot.model.orders import LIVING

    chosen = parse_states(states) or None
    if living:
        chosen = LIVING if chosen is None else LIVING & chosen
    wanted = Filter(name, symbol=symbol, states=chosen, limit=limit)
    entries = use_journal(lambda journal: journal.orders(wanted), db).rows
    if output == "json":
        show_json(entries)
        return
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
                trimmed(entry.row.filled),
                f"{entry.row.state}: {entry.row.reason}" if entry.row.reason else str(entry.row.state),
                entry.row.client_id,
            )
            for entry in entries
        ],
        right=("order", "quantity", "limit", "filled"),
    )
