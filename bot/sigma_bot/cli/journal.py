"""What the commands on the journal share: options, tables, and giving a control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sigma_bot.decimals import trimmed
from sigma_bot.services.projection import to_json

if TYPE_CHECKING:
    from sigma_bot.journal import Control, Journal
    from sigma_bot.journal.types import Action

T = TypeVar("T")


def db_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--db``."""
    words = "Use this database.  [default: SIGMA_DATABASE_URL, else ~/.sigma/sigma.db]"
    return click.option("--db", metavar="URL", help=words)(command)


def output_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--output``."""
    kinds = click.Choice(["table", "json"])
    return click.option("--output", type=kinds, default="table", show_default=True, help="How to print it.")(
        command
    )


def limit_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--limit``."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
    )(command)


def use_journal(work: Callable[[Journal], Awaitable[T]], db: str | None) -> T:
    """Open the journal, run ``work(journal)``, close."""
    from sigma_bot.journal import QUERY_POOL, open_journal

    async def session() -> T:
        async with await open_journal(db, create=False, pool=QUERY_POOL) as journal:
            return await work(journal)

    return asyncio.run(session())


def scope_options(command: Callable[..., None]) -> Callable[..., None]:
    """``[NAME | --account A | --all]``, ``--reason`` and ``--db``."""
    options = (
        click.argument("name", required=False),
        click.option("--account", metavar="ACCOUNT", help="Every bot of this account."),
        click.option("--all", "everything", is_flag=True, help="Every bot."),
        click.option("--reason", default="", help="Why; stored and shown by `sigma status`."),
    )
    for option in reversed(options):
        command = option(command)
    return db_option(command)


def money(amount: Decimal) -> str:
    """``plain`` to eight places: a share of a cost is a quotient, which has no end."""
    return trimmed(round(amount, 8))


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns as wide as their widest cell; those named in ``right`` flush right."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        cells = [
            cell.rjust(width) if head in right else cell.ljust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def give_control(
    action: Action, name: str | None, account: str | None, everything: bool, reason: str, db: str | None
) -> Control:
    """Store a control and tell the bots. Raises BadInputError unless exactly one scope is named."""
    from sigma_bot.bus import BusError
    from sigma_bot.services import controls

    scope, target = controls.scope_of(action, name, account, everything)
    user = controls.current_user()
    control = use_journal(
        lambda journal: controls.give_control(journal, scope, target, action, reason, user), db
    )
    try:
        asyncio.run(controls.notify_bots())
    except BusError as error:
        click.echo(f"note: {error}; it is stored, and bots read it within a second all the same", err=True)
    return control


def show_json(content: Any) -> None:
    """One JSON document: decimals as their digits, times as ISO 8601."""
    click.echo(to_json(content))
