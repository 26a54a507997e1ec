"""``sigma-app``, a container's entry point: ``MODE`` says what to run, ``--config`` holds the manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from sigma_bot.cli import main as cli
from sigma_bot.errors import BadInputError, nearest

MODES = ("backtest",)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", required=True, metavar="FILE", help="The manifest.")
@click.option("--db", metavar="URL", help="Where results are stored.  [default: SIGMA_DATABASE_URL]")
def app(config: str, db: str | None) -> None:
    """Run the manifest in the mode that the environment variable MODE names: backtest."""
    mode = os.environ.get("MODE", "")
    if mode in ("sim", "live"):
        raise BadInputError(f"MODE={mode}: this version runs backtests only; set MODE=backtest")
    if mode not in MODES:
        raise BadInputError(f"MODE: must be 'backtest', got {mode!r}{nearest(mode, MODES)}")
    from sigma_bot.cli.backtest import backtest

    backtest.main(
        [config, "--output", "json", *(["--db", db] if db else [])], "sigma-app", standalone_mode=False
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit with the codes of ``sigma``."""
    sys.exit(cli.run(arguments, app, "sigma-app"))
