"""``sigma-app``, a container's entry point: ``MODE`` says what to run, ``--config`` holds the manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sigma_bot.cli import main as cli
from sigma_bot.errors import BadInputError, nearest

MODES = ("backtest", "sim", "live")
SWAPS = {"adopt": "adopt", "drain": "adopt", "flatten": "adopt", "reset": "reset"}
"""By the time a new revision starts, the old one has drained or flattened if it was to."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", required=True, metavar="FILE", help="The manifest.")
@click.option("--db", metavar="URL", help="Where results are stored.  [default: SIGMA_DATABASE_URL]")
@click.option(
    "--close",
    type=click.Choice(["leave", "cancel", "flatten"]),
    help="Do not trade: leave the account as it is, cancel its orders, or close its positions too; then end.",
)
def app(config: str, db: str | None, close: str | None) -> None:
    """Run the manifest in the mode that the environment variable MODE names: backtest, sim or live."""
    mode = os.environ.get("MODE", "")
    if mode not in MODES:
        raise BadInputError(f"MODE: must be one of {', '.join(MODES)}, got {mode!r}{nearest(mode, MODES)}")
    if mode == "backtest":
        from sigma_bot.cli.backtest import backtest

        backtest.main(
            [config, "--output", "json", *(["--db", db] if db else [])], "sigma-app", standalone_mode=False
        )
        return
    click.get_current_context().exit(_trade(Path(config), mode, db, close))


def _trade(config: Path, mode: str, db: str | None, close: str | None) -> int:
    from sigma_bot.spec import load_manifest
    from sigma_bot.trading.service import Places, serve
    from sigma_bot.trading.settings import Settings

    manifest = load_manifest(config, "Strategy")
    if manifest.spec.mode != mode:
        raise BadInputError(
            f"MODE={mode}, but {config}: spec.mode is {manifest.spec.mode!r}; both must say the same"
        )
    swap = os.environ.get("SIGMA_SWAP", "adopt")
    if swap not in SWAPS:
        raise BadInputError(f"SIGMA_SWAP: must be one of {', '.join(SWAPS)}, got {swap!r}")
    return serve(Settings(manifest, config.parent, SWAPS[swap]), Places(database=db), close)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit with the codes of ``sigma``; 4 when another process trades for this bot."""
    sys.exit(cli.run(arguments, app, "sigma-app"))
