"""What must hold: no order lost, none doubled, ledger = the venue's account, SIM = BACKTEST."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sigma_bot.journal import Filter, open_journal
from sigma_bot.journal.journal import Journal
from sigma_bot.model.orders import LIVING, FillRow, OrderRow, State
from sigma_bot.parity.run import check, read_run
from sigma_bot.spec import load_manifest
from tests.soak.stage import Bot, Stage

D = Decimal
MANY = 1_000_000


@dataclass
class Findings:
    """``broken``: sentences, empty when everything holds."""

    broken: list[str] = field(default_factory=list)
    orders: int = 0
    fills: int = 0
    in_review: int = 0
    states: Counter[str] = field(default_factory=Counter)
    alerts: list[str] = field(default_factory=list)


async def verify(stage: Stage, sims: bool = True) -> Findings:
    """Look at every bot; SIM bots only with ``sims``."""
    found = Findings()
    async with await open_journal(stage.database, create=False) as journal:
        alerts = [entry for entry in await journal.notices(Filter(limit=MANY)) if entry.row.kind == "alert"]
        found.alerts = sorted(f"{entry.bot}: {entry.row.code}: {entry.row.text}" for entry in alerts)
        for bot in stage.bots:
            rows = [entry.row for entry in await journal.orders(Filter(bot.name, limit=MANY))]
            fills = [entry.row for entry in await journal.fills(Filter(bot.name, limit=None))]
            found.orders += len(rows)
            found.fills += len(fills)
            found.states.update(str(row.state) for row in rows)
            if bot.mode == "live":
                told = await asyncio.to_thread(stage.admin, bot.market.venue, "GET", f"accounts/{bot.name}")
                found.broken += [f"{bot.name}: {text}" for text in live_faults(bot, rows, fills, told)]
                found.in_review += sum(row.state is State.NEEDS_REVIEW for row in rows)
            elif sims:
                found.broken += [f"{bot.name}: {text}" for text in await sim_faults(stage, journal, bot)]
    return found


def live_faults(bot: Bot, rows: list[OrderRow], fills: list[FillRow], told: dict[str, Any]) -> list[str]:
    """Where journal and venue do not say the same."""
    out = []
    by_id = {row.client_id: row for row in rows}
    at_venue = Counter(order["client_id"] for order in told["orders"])
    out += [f"{client_id} was sent {n} times" for client_id, n in at_venue.items() if n > 1]
    for order in told["orders"]:
        row = by_id.get(order["client_id"])
        if row is None:
            out.append(f"{order['client_id']} is at the venue and not in the journal")
        elif not agrees(order, row):
            out.append(f"{row.client_id}: {row.state} in the journal, {order['status']} at the venue")
        elif row.filled != D(order["executed"]):
            out.append(f"{row.client_id}: {row.filled} filled, at the venue {order['executed']}")
    for row in rows:
        if row.client_id not in at_venue and row.state not in (State.REJECTED, State.NOT_FOUND):
            out.append(f"{row.client_id}: {row.state} in the journal, unknown to the venue")
    if len(fills) != len(told["fills"]):
        out.append(f"{len(fills)} fills in the journal, {len(told['fills'])} at the venue")
    want = {c: D(amount) for c, amount in told["opening"].items()}
    for fill in fills:
        sign = 1 if fill.side == "buy" else -1
        want[bot.market.base] += sign * fill.quantity
        want[bot.market.quote] -= sign * fill.quantity * fill.price
        want[fill.fee_currency] -= fill.fee
    for currency, amount in want.items():
        held = told["balances"][currency]
        if D(held["free"]) + D(held["locked"]) != amount:
            out.append(f"{currency}: the venue holds {held}, the journal says {amount}")
    return out


def agrees(order: dict[str, Any], row: OrderRow) -> bool:
    """Whether a row's state is the venue's. Nothing is claimed of one in review: it waits for a human."""
    if row.state is State.NEEDS_REVIEW:
        return True
    if order["status"] == "open":
        return row.state is (State.PARTIAL if D(order["executed"]) else State.OPEN)
    if order["status"] in ("cancelled", "expired"):
        return row.state not in LIVING and row.state not in (State.REJECTED, State.NOT_FOUND)
    return str(row.state) == order["status"]


async def sim_faults(stage: Stage, journal: Journal, bot: Bot) -> list[str]:
    """Where a SIM bot did something else than a backtest of its ticks."""
    sim = await read_run(journal, bot.name)
    manifest = load_manifest(bot.manifest, "Strategy")
    verdict = await asyncio.to_thread(check, sim, stage.ticks, manifest, bot.manifest.parent)
    if verdict.difference is None:
        return []
    return [verdict.difference.told("SIM", "the backtest"), *verdict.causes]
