"""Halt, resume and flatten: rows that anybody may write and every bot reads. None is ever changed.

For each scope (a strategy, an account, all) the latest row says whether it is halted. A resume lifts the halt
of its own scope and of no other; a flatten of that scope that is not finished is dropped with it.
"""

from __future__ import annotations

from sigma_bot.database.driver import Session
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.journal.statements import positional
from sigma_bot.journal.types import Action, Control, Controls, Scope

_COLUMNS = "id, scope, name, action, reason, by, ts"


async def bot_id(session: Session, name: str) -> int:
    """Key of a bot. Raises BadInputError with the nearest name."""
    found = await session.rows(positional("SELECT id FROM bots WHERE name = ?", session.sqlite), name)
    if found:
        return int(found[0][0])
    known = [row[0] for row in await session.rows("SELECT name FROM bots")]
    raise BadInputError(f"bot {name!r} is not in the journal{nearest(name, known) or '; see `sigma status`'}")


async def give(
    session: Session, scope: Scope, name: str, action: Action, reason: str, by: str, now: int
) -> Control:
    """Add a control. Raises BadInputError when it would concern no bot: a halt of nobody helps nobody."""
    if scope == "strategy":
        await bot_id(session, name)
    elif scope == "account":
        known = [row[0] for row in await session.rows("SELECT DISTINCT account FROM bots")]
        if name not in known:
            hint = nearest(name, known) or "; see `sigma status`"
            raise BadInputError(f"account {name!r}: no bot of it is in the journal{hint}")
    query = (
        "INSERT INTO controls (scope, name, action, reason, by, ts) VALUES (?, ?, ?, ?, ?, ?)"
        f" RETURNING {_COLUMNS}"
    )
    [row] = await session.rows(positional(query, session.sqlite), scope, name, action, reason, by, now)
    return Control(*row)


async def in_force(session: Session, bot: str) -> Controls:
    """What holds for a bot."""
    return await in_force_for(session, await bot_id(session, bot))


async def in_force_for(session: Session, bot: int) -> Controls:
    """What holds for the bot of this key. A halt of its account or of all that was given before the bot
    existed holds too; a flatten does not: there was nothing of it to close.
    """
    mine = (
        "(controls.scope = 'all' OR (controls.scope = 'strategy' AND controls.name = bots.name)"
        " OR (controls.scope = 'account' AND controls.name = bots.account))"
    )
    columns = ", ".join(f"controls.{name}" for name in _COLUMNS.split(", "))
    latest = (
        f"SELECT {columns} FROM controls JOIN bots ON {mine} WHERE bots.id = ? AND controls.id ="
        " (SELECT MAX(id) FROM controls AS c WHERE c.scope = controls.scope AND c.name = controls.name)"
        " AND action <> 'resume' ORDER BY controls.id"
    )
    halts = await session.rows(positional(latest, session.sqlite), bot)
    asked = (
        f"SELECT {columns} FROM controls JOIN bots ON {mine} WHERE bots.id = ? AND action = 'flatten'"
        " AND controls.id > bots.controls_from AND NOT EXISTS"
        " (SELECT 1 FROM controls_done AS d WHERE d.bot = bots.id AND d.control = controls.id)"
        " AND NOT EXISTS (SELECT 1 FROM controls AS c WHERE c.scope = controls.scope"
        " AND c.name = controls.name AND c.action = 'resume' AND c.id > controls.id)"
        " ORDER BY controls.id"
    )
    flatten = await session.rows(positional(asked, session.sqlite), bot)
    return Controls([Control(*row) for row in halts], [Control(*row) for row in flatten])


async def done(session: Session, bot: str, control: int, now: int) -> None:
    """Note that a bot has carried out a flatten."""
    query = "INSERT INTO controls_done (bot, control, ts) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    await session.rows(positional(query, session.sqlite), await bot_id(session, bot), control, now)


async def history(session: Session, limit: int) -> list[Control]:
    """Every control, the newest first."""
    query = positional(f"SELECT {_COLUMNS} FROM controls ORDER BY id DESC LIMIT ?", session.sqlite)
    return [Control(*row) for row in await session.rows(query, limit)]
