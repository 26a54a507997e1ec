"""``sigma parity``: whether a SIM run did what a backtest of its ticks does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sigma_bot.cli.journal import db_option, use_journal
from sigma_bot.times import clock

if TYPE_CHECKING:
    from sigma_bot.parity.run import Verdict


@click.command()
@click.argument("name")
@click.option("--run", "number", type=click.IntRange(min=1), help="An earlier run.  [default: the current]")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Backtest this manifest, its code beside it.  [default: the stored one, its code from here]",
)
@click.option(
    "--ticks",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The recording (sigma run --record, sigma feed --out).  [default: ~/.sigma/bots/NAME/ticks]",
)
@db_option
def parity(name: str, number: int | None, manifest: Path | None, ticks: Path | None, db: str | None) -> None:
    """Backtest the ticks that SIM bot NAME saw, and compare every order and every fill with what it did.

    \b
    Examples:
      sigma parity ema-cross --manifest examples/ema-cross/strategy.yaml
      sigma parity ema-cross --run 2 --ticks recorded

    Ends with 0 when both did the same, to the last digit, else with 1: then the first difference is named,
    and what may be behind it. Without a tick there is nothing to compare: 2. The bot may go on trading
    meanwhile.
    """
    from sigma_bot.parity.run import check, read_run
    from sigma_bot.paths import bot_home
    from sigma_bot.spec import load_manifest

    sim = use_journal(lambda journal: read_run(journal, name, number), db)
    told = None if manifest is None else load_manifest(manifest, "Strategy")
    base = Path() if manifest is None else manifest.parent
    verdict = check(sim, ticks or bot_home(name) / "ticks", told, base)
    click.echo(report(verdict))
    click.get_current_context().exit(0 if verdict.difference is None else 1)


def report(verdict: Verdict) -> str:
    """What the command says."""
    sim, again = verdict.sim, verdict.backtest
    how = "compiled" if again.compiled else "interpreted"
    first = clock(sim.run.first_ts or 0)
    lines = [
        f"{sim.run.bot}, run {sim.run.number}: ticks from {first} to {clock(sim.ts)} UTC, "
        f"backtested ({how}): {again.rows:,} rows"
    ]
    orders, fills = len(sim.trace.orders), len(sim.trace.fills)
    if verdict.difference is None:
        lines.append(f"the same {_count(orders, 'order')}, the same {_count(fills, 'fill')}")
        if verdict.missing:
            from sigma_bot.parity.compare import batches

            lines.append(f"note: the recording lacks {batches(verdict.missing)}")
        return "\n".join(lines)
    other = again.trace
    lines.append(
        f"SIM: {_count(orders, 'order')}, {_count(fills, 'fill')}; "
        f"backtest: {_count(len(other.orders), 'order')}, {_count(len(other.fills), 'fill')}"
    )
    lines.append(f"first difference: {verdict.difference.told('SIM', 'the backtest')}")
    lines += [f"likely cause: {cause}" for cause in verdict.causes]
    return "\n".join(lines)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
