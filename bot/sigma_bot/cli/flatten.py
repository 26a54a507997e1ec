"""``sigma flatten``: cancel what is open, close what is held, stay halted."""

from __future__ import annotations

import click

from sigma_bot.cli.journal import give_control, scope_options


@click.command()
@scope_options
def flatten(name: str | None, account: str | None, everything: bool, reason: str, db: str | None) -> None:
    """Halt bot NAME, an account or everything, cancel its orders and close its positions at market.

    A bot that does not run does so when it starts. It stays halted until `sigma resume` of the same scope.
    """
    from sigma_bot.services.controls import whom

    control = give_control("flatten", name, account, everything, reason, db)
    click.echo(f"flattening {whom(control)}; halted until `sigma resume`")
