"""``sigma orders``: what bots have ordered."""

from __future__ import annotations

import click

from sigma_bot.cli.journal import (
    db_option,
    limit_option,
    output_option,
    plain,
    show_json,
    show_table,
    use_journal,
)
from sigma_bot.times import clock


@click.command()
@click.argument("name", required=False)
@click.option("--open", "living", is_flag=True, help="Only orders that may still fill.")
@limit_option
@output_option
@db_option
def orders(name: str | None, living: bool, limit: int, output: str, db: str | None) -> None:
    """List orders, the newest first, of every bot or of bot NAME."""
    entries = use_journal(lambda journal: journal.orders(name, living=living, limit=limit), db)
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
                plain(entry.row.quantity),
                plain(entry.row.limit_price),
                plain(entry.row.filled),
                f"{entry.row.state}: {entry.row.reason}" if entry.row.reason else str(entry.row.state),
                entry.row.client_id,
            )
            for entry in entries
        ],
        right=("order", "quantity", "limit", "filled"),
    )
