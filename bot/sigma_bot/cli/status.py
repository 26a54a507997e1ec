"""``sigma status``: the bots of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import db_option, output_option, show_json, show_table, use_journal
from sigma_bot.times import clock

if TYPE_CHECKING:
    from sigma_bot.journal import BotStatus, Control, Entry, Journal
    from sigma_bot.model.orders import NoticeRow

NOTICES = 10
READ = 500
"""Rejections, alerts and changes of state that are shown of one bot."""


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

    async def read(journal: Journal) -> tuple[list[BotStatus], list[Entry[NoticeRow]]]:
        notices = [] if name is None else await journal.notices(name, limit=READ)
        # an alert does not go under in rejections
        shown = [n for i, n in enumerate(notices) if i < NOTICES or n.row.kind == "alert"]
        return await journal.bots(), shown

    bots, notices = use_journal(read, db)
    if name is not None:
        bots = [bot for bot in bots if bot.name == name]
    if output == "json":
        show_json({"bots": bots, "notices": notices} if name is not None else {"bots": bots})
    elif not bots:
        click.echo("no bots are known; `sigma run` starts one")
    else:
        _show(bots, notices)


def _show(bots: list[BotStatus], notices: list[Entry[NoticeRow]]) -> None:
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
                _state(bot),
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
            click.echo(f"{bot.name}: {_halt(halt)}")
    for entry in notices:
        click.echo(f"{clock(entry.row.ts)}  {entry.row.kind}  {entry.row.code}  {entry.row.text}")


def _state(bot: BotStatus) -> str:
    """A bot whose first start failed has stored nothing: it never got as far as a tick."""
    if bot.running:
        return "halted" if bot.halts else "running"
    rests = "stopped" if bot.commit else "never started"
    return f"halted, {rests}" if bot.halts else rests


def _halt(halt: Control) -> str:
    scope = {"all": "all bots", "account": f"account {halt.name}"}.get(halt.scope, "this bot")
    why = f": {halt.reason}" if halt.reason else ""
    return f"halted since {clock(halt.ts)} ({scope}, {halt.action} by {halt.by}){why}"
