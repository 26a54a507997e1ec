"""Where SIGMA-X keeps things on this machine, and what files that the environment names hold."""

from __future__ import annotations

import os
from pathlib import Path

from sigma_bot.errors import BadInputError

HOME_VARIABLE = "SIGMA_HOME"


def home() -> Path:
    """The folder of everything SIGMA-X keeps for a user: ``SIGMA_HOME``, else ``~/.sigma``."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".sigma"


def bot_home(bot: str) -> Path:
    """The folder of one bot: its recorded ticks, its bus."""
    return home() / "bots" / bot.replace("/", "_")


def address_in(variable: str, what: str = "the database's address") -> str:
    """What the file that a variable names holds, nothing where it names none. Raises BadInputError for a file
    without it."""
    named = os.environ.get(variable)
    if not named:
        return ""
    try:
        address = Path(named).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInputError(f"{variable}={named}: {what} cannot be read: {reason}") from None
    if not address:
        raise BadInputError(f"{variable}={named}: the file is empty; it must hold {what}")
    return address
