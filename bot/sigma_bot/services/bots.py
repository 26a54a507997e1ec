"""The bots of the journal, with what happened to them lately."""

from __future__ import annotations

from sigma_bot.journal import BotStatus, Control, Filter, Journal, StoredRow
from sigma_bot.model.orders import NoticeRow
from sigma_bot.times import clock

LATEST_NOTICES = 10
NOTICES_READ = 500


async def list_bots(journal: Journal, name: str | None) -> list[BotStatus]:
    """Every bot, or the one of this name."""
    return [bot for bot in await journal.bots() if name in (None, bot.name)]


async def latest_notices(journal: Journal, name: str) -> list[StoredRow[NoticeRow]]:
    """The newest rejections, alerts and changes of state of a bot. An alert is among them for longer, so that
    it does not go under in rejections."""
    notices = await journal.notices(Filter(name, limit=NOTICES_READ))
    return [n for i, n in enumerate(notices) if i < LATEST_NOTICES or n.row.kind == "alert"]


def state_of(bot: BotStatus) -> str:
    """running, halted, stopped … A bot whose first start failed has stored nothing: it never got as far as a
    tick."""
    if bot.running:
        return "halted" if bot.halts else "running"
    rests = "stopped" if bot.commit else "never started"
    return f"halted, {rests}" if bot.halts else rests


def describe_halt(halt: Control) -> str:
    """Since when, by whom, why."""
    scope = {"all": "all bots", "account": f"account {halt.name}"}.get(halt.scope, "this bot")
    why = f": {halt.reason}" if halt.reason else ""
    return f"halted since {clock(halt.ts)} ({scope}, {halt.action} by {halt.by}){why}"
