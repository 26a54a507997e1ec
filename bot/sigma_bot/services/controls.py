"""Halt, resume and flatten: written into the journal, then told to the bots."""

from __future__ import annotations

import getpass
import os
import time

from sigma_bot.bus import MEMORY, bus_url, open_bus
from sigma_bot.errors import BadInputError
from sigma_bot.journal import Control, Journal
from sigma_bot.journal.types import Action, Scope
from sigma_bot.model.messages import CONTROL


def scope_of(action: str, name: str | None, account: str | None, everything: bool) -> tuple[Scope, str]:
    """The scope and whom it names, of which exactly one must be given. Raises BadInputError."""
    given = [name is not None, account is not None, everything]
    if sum(given) != 1:
        raise BadInputError(
            f"{action}: name one of a bot, --account ACCOUNT, and --all; "
            f"{'none' if not any(given) else 'more than one'} is given"
        )
    if name is not None:
        return "strategy", name
    return ("account", account) if account is not None else ("all", "")


async def give_control(
    journal: Journal, scope: Scope, name: str, action: Action, reason: str, by: str
) -> Control:
    """Store a control. It holds from now on; `notify_bots` only makes it faster."""
    return await journal.control(scope, name, action, reason, by, time.time_ns())


async def notify_bots() -> None:
    """Wake the bots, so that they read the journal now. Without Redis they do within a second. Raises
    BusError when the bus can't be reached."""
    url = bus_url()
    if url == MEMORY:
        return
    bus = open_bus(url)
    try:
        await bus.publish(CONTROL, b"")
    finally:
        await bus.close()


def whom(control: Control) -> str:
    """The scope of a control in words."""
    return {"all": "every bot", "account": f"every bot of account {control.name!r}"}.get(
        control.scope, f"bot {control.name!r}"
    )


def current_user() -> str:
    """Who gives the command. A container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
