"""Options that every command on a Backtest manifest takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--from``, ``--to``, ``--data`` and ``--engine``, listed in this order."""
    options = (
        click.option("--from", "start", metavar="DATE", help="Begin here instead of spec.period.from."),
        click.option("--to", "end", metavar="DATE", help="End here instead of spec.period.to."),
        click.option("--data", metavar="PATH", help="Run on this file instead of spec.data.path."),
        click.option(
            "--engine",
            type=click.Choice(["auto", "compiled", "interpreted"]),
            default="auto",
            show_default=True,
            help="auto compiles what can be compiled and interprets the rest.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
