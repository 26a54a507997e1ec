"""``sigma halt``: no further order that does not reduce."""

from __future__ import annotations

import click

from sigma_bot.cli.journal import give_control, scope_options


@click.command()
@scope_options
def halt(name: str | None, account: str | None, everything: bool, reason: str, db: str | None) -> None:
    """Stop bot NAME, an account or everything from sending orders; what reduces a position still may be sent.

    \b
      sigma halt ema-cross --reason "strange fills"
      sigma halt --account main
      sigma halt --all

    It holds over restarts, until `sigma resume` of the same scope.
    """
    from sigma_bot.services.controls import whom

    control = give_control("halt", name, account, everything, reason, db)
    click.echo(f"halted {whom(control)}")
