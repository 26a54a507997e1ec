"""The ``sigma`` command: sub-commands imported when used, errors turned into messages and exit codes."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from sigma_bot.errors import SigmaError, nearest

# Name of each sub-command with its line in the help, so that `sigma --help` imports none of them.
COMMANDS = {
    "new": "Start a strategy: a folder with code, manifests and a test.",
    "backtest": "Run a strategy on historical data and report the result.",
    "run": "Run a strategy on real-time prices: SIM or LIVE.",
    "status": "Show the bots: what runs, what is halted.",
    "orders": "List what bots have ordered.",
    "fills": "List what was executed.",
    "positions": "Show what bots hold.",
    "halt": "Stop a bot, an account or everything from ordering.",
    "resume": "Lift a halt.",
    "flatten": "Halt, cancel what is open and close what is held.",
    "parity": "Backtest what a SIM run saw and compare order by order.",
    "inline": "Print a manifest with its source in it, for kubectl.",
    "feed": "Receive a venue's market data and publish it as ticks.",
    "replay": "Emulate an exchange that replays recorded data.",
    "demo": "Replay, feed, bot and backtest in one go, without a network.",
    "sweep": "Run a backtest for many values of its parameters.",
    "check": "Look for lookahead and unsettled warm-up in a strategy.",
    "results": "List, show and compare stored results.",
    "data": "Import market data, list it, and check it for faults.",
}
INTERRUPTED = 130


class Commands(click.Group):
    """The group that finds ``sigma_bot.cli.NAME`` with a command called NAME."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"sigma_bot.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument, or the nearest name in the error."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from sigma_bot import __version__

        click.echo(f"sigma {__version__}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and exit.",
)
def sigma() -> None:
    """SIGMA-X: write a strategy in Python, test it on history, run it.

    \b
    Start here:
      sigma new my_strategy                      a strategy that runs as it is
      sigma backtest my_strategy/backtest.yaml   run it on sample data
      sigma backtest FILE --set fast=8           with another parameter
      sigma backtest FILE --html report.html     with a report to look at
      sigma results list                         what has been run so far

    `sigma COMMAND --help` explains one command with examples.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 bad input, 3 the strategy raised, 130 interrupted."""
    # Nothing here multiplies matrices: NumPy's pool of threads would only cost its start. And what start-up
    # makes lives on, so looking for garbage in it every 700 objects finds none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(50_000)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None, command: click.Command = sigma, name: str = "sigma") -> int:
    """The exit code of the command. Only faults of ours show a traceback (SIGMA_DEBUG=1: every error)."""
    try:
        # Outside its standalone mode click returns the code of ctx.exit() and raises the rest.
        code = command.main(args=arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except (click.ClickException, SigmaError, click.Abort, OSError) as error:
        if os.environ.get("SIGMA_DEBUG"):
            raise
        return _report(error)
    except Exception as error:
        error.add_note(
            "This is a fault of SIGMA-X, not of your input. Please report it with the lines above."
        )
        raise
    return code if isinstance(code, int) else 0


def _report(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort):
        click.echo("interrupted; nothing was stored", err=True)
        return INTERRUPTED
    if isinstance(error, SigmaError):
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        # The reader went away (`sigma ... | head`). Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    place = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
    words: Any = getattr(error, "strerror", None) or error
    click.echo(f"error: {words}{place}", err=True)
    return 1


if __name__ == "__main__":
    main()
