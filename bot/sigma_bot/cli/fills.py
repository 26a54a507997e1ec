"""``sigma fills``: what was executed."""

from __future__ import annotations

import click

from sigma_bot.cli.journal import (
    db_option,
    limit_option,
    money,
    output_option,
    show_json,
    show_table,
    use_journal,
)
from sigma_bot.decimals import trimmed
from sigma_bot.times import clock


@click.command()
@click.argument("name", required=False)
@click.option("--symbol", metavar="SYMBOL", help="Only of this symbol.")
@limit_option
@output_option
@db_option
def fills(name: str | None, symbol: str | None, limit: int, output: str, db: str | None) -> None:
    """List executions, the newest first, of every bot or of bot NAME."""
    from sigma_bot.journal.filters import Filter

    wanted = Filter(name, symbol=symbol, limit=limit)
    entries = use_journal(lambda journal: journal.fills(wanted), db).rows
    if output == "json":
        show_json(entries)
        return
    if not entries:
        click.echo("no fills")
        return
    heads = (
        "time (UTC)",
        "bot",
        "order",
        "symbol",
        "side",
        "quantity",
        "price",
        "fee",
        "",
        "realized",
        "trade",
    )
    show_table(
        heads,
        [
            (
                clock(entry.row.ts),
                entry.bot,
                str(entry.row.order_id),
                entry.row.symbol,
                entry.row.side,
                trimmed(entry.row.quantity),
                trimmed(entry.row.price),
                trimmed(entry.row.fee),
                entry.row.fee_currency,
                money(entry.row.realized),
                entry.row.trade_id,
            )
            for entry in entries
        ],
        right=("order", "quantity", "price", "fee", "realized"),
    )
