"""The soak's own eyes: each thing that must not be is seen when it is there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.model.orders import FillRow, OrderRow, State
from tests.soak.stage import MARKETS, Bot
from tests.soak.verify import live_faults
from tests.soak.watch import slope

D = Decimal
BOT = Bot("bot00", "live", MARKETS["binance"], Path(), 0, [], Path(), {})


def row(number: int, state: State, filled: str) -> OrderRow:
    price = D(100)
    return OrderRow(
        f"sx-{number}", number, 1, "BTCUSDT", "buy", "limit", "gtc", D("0.2"), price, None, False, False,
        state, 1, 2, D(filled),
    )  # fmt: skip


def fill(number: int, quantity: str) -> FillRow:
    client_id = f"sx-{number}"
    fee = D("0.01")
    return FillRow(
        f"t{number}", client_id, number, "BTCUSDT", "buy", D(100), D(quantity), fee, "USDT", True, 2
    )


def venue_order(number: int, status: str, executed: str) -> dict[str, Any]:
    return {"client_id": f"sx-{number}", "status": status, "executed": executed}


def account() -> tuple[list[OrderRow], list[FillRow], dict[str, Any]]:
    """A journal and a venue that agree: filled, open, partly filled, cancelled, not found."""
    rows = [
        row(1, State.FILLED, "0.2"),
        row(2, State.OPEN, "0"),
        row(3, State.PARTIAL, "0.1"),
        row(4, State.CANCELLED, "0"),
        row(5, State.NOT_FOUND, "0"),
    ]
    fills = [fill(1, "0.2"), fill(3, "0.1")]
    told = {
        "opening": {"BTC": "1", "USDT": "1000"},
        "balances": {"BTC": {"free": "1.3", "locked": "0"}, "USDT": {"free": "939.98", "locked": "30"}},
        "orders": [
            venue_order(1, "filled", "0.2"),
            venue_order(2, "open", "0"),
            venue_order(3, "open", "0.1"),
            venue_order(4, "cancelled", "0"),
        ],
        "fills": [{}, {}],
    }
    return rows, fills, told


def test_what_agrees_is_not_told() -> None:
    assert live_faults(BOT, *account()) == []


Forge = Callable[[list[OrderRow], list[FillRow], dict[str, Any]], object]
FORGED: dict[str, tuple[Forge, str]] = {
    "sent twice": (lambda r, f, t: t["orders"].append(t["orders"][1]), "sx-2 was sent 2 times"),
    "lost": (lambda r, f, t: r.pop(1), "sx-2 is at the venue and not in the journal"),
    "never sent": (lambda r, f, t: t["orders"].pop(1), "sx-2: open in the journal, unknown to the venue"),
    "state": (
        lambda r, f, t: t["orders"][1].update(status="filled", executed="0.2"),
        "sx-2: open in the journal, filled at the venue",
    ),
    "not found after all": (
        lambda r, f, t: t["orders"].append(venue_order(5, "open", "0")),
        "sx-5: not_found in the journal, open at the venue",
    ),
    "executed": (
        lambda r, f, t: t["orders"][2].update(executed="0.15"),
        "sx-3: 0.1 filled, at the venue 0.15",
    ),
    "fill lost": (lambda r, f, t: f.pop(), "1 fills in the journal, 2 at the venue"),
    "fill doubled": (lambda r, f, t: f.append(f[0]), "3 fills in the journal, 2 at the venue"),
    "last digit": (
        lambda r, f, t: t["balances"]["USDT"].update(free="939.9800000001"),
        "USDT: the venue holds",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_does_not_agree_is_told(name: str) -> None:
    rows, fills, told = copy.deepcopy(account())
    forge, said = FORGED[name]
    forge(rows, fills, told)
    assert any(said in text for text in live_faults(BOT, rows, fills, told))


def test_a_slope_is_told_once_the_start_is_over() -> None:
    grows = [(float(t), 50 + (20 if t >= 60 else t / 3) + t / 60) for t in range(0, 600, 2)]
    found = slope(grows)
    assert found is not None
    assert 59 < found < 61  # one MiB a minute
    assert slope([(float(t), 50.0) for t in range(0, 600, 2)]) == 0
    assert slope(grows[:200]) is None
