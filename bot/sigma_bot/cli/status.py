"""``sigma status``: the bots of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import db_option, output_option, show_json, show_table, use_journal
from sigma_bot.times import clock

if TYPE_CHECKING:
    from sigma_bot.journal import BotStatus, Journal, StoredRow
    from sigma_bot.model.orders import NoticeRow
    from sigma_bot.trading.held_orders import HeldOrder


@click.command()
@click.argument("name", required=False)
@output_option
@db_option
def status(name: str | None, output: str, db: str | None) -> None:
    """Show every bot: whether it runs, what halts it, its open orders.

    \b
      sigma status
      sigma status ema-cross          with its last rejections and alerts
    """

    from sigma_bot.services.bots import latest_notices, list_bots
    from sigma_bot.services.held_orders import list_held

    async def read(
        journal: Journal,
    ) -> tuple[list[BotStatus], list[StoredRow[NoticeRow]], list[StoredRow[HeldOrder]]]:
        notices = [] if name is None else await latest_notices(journal, name)
        return await list_bots(journal, name), notices, await list_held(journal, name)

    bots, notices, held = use_journal(read, db)
    if output == "json":
        told = {"bots": bots, "held": held}
        show_json(told | {"notices": notices} if name is not None else told)
    elif not bots:
        click.echo("no bots are known; `sigma run` starts one")
    else:
        _show(bots, notices, held)


def _show(
    bots: list[BotStatus], notices: list[StoredRow[NoticeRow]], held: list[StoredRow[HeldOrder]]
) -> None:
    from sigma_bot.services.bots import describe_halt, state_of

    heads = ("bot", "mode", "venue", "account", "run", "state", "last tick (UTC)", "orders", "held by")
    show_table(
        heads,
        [
            (
                bot.name,
                bot.mode,
                bot.venue,
                bot.account,
                str(bot.run),
                state_of(bot),
                clock(bot.ts),
                str(bot.open_orders),
                bot.holder if bot.running else "",
            )
            for bot in bots
        ],
        right=("run", "orders"),
    )
    for bot in bots:
        for halt in bot.halts:
            click.echo(f"{bot.name}: {describe_halt(halt)}")
    for order in held:
        click.echo(f"{order.bot}: {order.row.state}: {order.row}")
    for entry in notices:
        click.echo(f"{clock(entry.row.ts)}  {entry.row.kind}  {entry.row.code}  {entry.row.text}")
