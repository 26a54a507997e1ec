"""What the commands on the journal share: options, tables, and giving a control."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sigma_bot.errors import BadInputError
from sigma_bot.times import iso_ns

if TYPE_CHECKING:
    from sigma_bot.journal import Control, Journal
    from sigma_bot.journal.types import Action, Scope

T = TypeVar("T")
TIMES = frozenset(("created", "updated", "ts", "started", "until", "since"))
"""Fields that hold ns since 1970 UTC; JSON gives them as ISO 8601."""


def db_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--db``."""
    words = "Use this database.  [default: SIGMA_DATABASE_URL, else ~/.sigma/sigma.db]"
    return click.option("--db", metavar="URL", help=words)(command)


def output_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--output``."""
    kinds = click.Choice(["table", "json"])
    return click.option("--output", type=kinds, default="table", show_default=True)(command)


def limit_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--limit``."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
    )(command)


def use_journal(work: Callable[[Journal], Awaitable[T]], db: str | None) -> T:
    """Open the journal, run ``work(journal)``, close."""
    from sigma_bot.journal import open_journal

    async def session() -> T:
        async with await open_journal(db, create=False) as journal:
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


def give_control(
    action: Action, name: str | None, account: str | None, everything: bool, reason: str, db: str | None
) -> Control:
    """Write a control into the journal and ring the bots. Raises BadInputError unless one scope is named."""
    scope, whom = _scope(action, name, account, everything)

    async def work(journal: Journal) -> Control:
        return await journal.control(scope, whom, action, reason, _user(), time.time_ns())

    control = use_journal(work, db)
    _ring()
    return control


def _scope(action: str, name: str | None, account: str | None, everything: bool) -> tuple[Scope, str]:
    given = [name is not None, account is not None, everything]
    if sum(given) != 1:
        raise BadInputError(
            f"{action}: name one of a bot, --account ACCOUNT, and --all; "
            f"{'none' if not any(given) else 'more than one'} is given"
        )
    if name is not None:
        return "strategy", name
    return ("account", account) if account is not None else ("all", "")


def whom(control: Control) -> str:
    """The scope of a control in words."""
    return {"all": "every bot", "account": f"every bot of account {control.name!r}"}.get(
        control.scope, f"bot {control.name!r}"
    )


def _ring() -> None:
    """Wake the bots. Without Redis they read the journal within a second anyway."""
    from sigma_bot.bus import MEMORY, BusError, bus_url, open_bus
    from sigma_bot.model.messages import CONTROL

    url = bus_url()
    if url == MEMORY:
        return

    async def publish() -> None:
        bus = open_bus(url)
        try:
            await bus.publish(CONTROL, b"")
        finally:
            await bus.close()

    try:
        asyncio.run(publish())
    except BusError as error:
        click.echo(f"note: {error}; it is stored, and bots read it within a second all the same", err=True)


def _user() -> str:
    """Who gives the command. A container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def plain(amount: Decimal | None) -> str:
    """Digits without an exponent and without zeros at the end; empty for none."""
    if amount is None:
        return ""
    digits = format(amount, "f")
    return digits.rstrip("0").rstrip(".") or "0" if "." in digits else digits


def money(amount: Decimal) -> str:
    """``plain`` to eight places: a share of a cost is a quotient, which has no end."""
    return plain(round(amount, 8))


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


def show_json(content: Any) -> None:
    """One JSON document: decimals as their digits, times as ISO 8601."""
    click.echo(json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _plain(value: Any, name: str = "") -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), item.name) for item in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if name in TIMES and isinstance(value, int):
        return iso_ns(value) if value else None
    return value
