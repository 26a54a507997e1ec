"""``sigma resume``: lift a halt."""

from __future__ import annotations

import click

from sigma_bot.cli.journal import give_control, scope_options


@click.command()
@scope_options
def resume(name: str | None, account: str | None, everything: bool, reason: str, db: str | None) -> None:
    """Lift the halt (or flatten) of bot NAME, of an account or of everything.

    Each scope is lifted by itself: a bot of a halted account stays halted. `sigma status` shows what is left.
    """
    from sigma_bot.services.controls import whom

    control = give_control("resume", name, account, everything, reason, db)
    click.echo(f"resumed {whom(control)}; other scopes' halts stand (`sigma status`)")
