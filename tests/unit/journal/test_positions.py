"""Positions from fills at average cost."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.journal.positions import Position, positions
from sigma_bot.model.orders import FillRow


def fill(side: str, quantity: str, price: str, **changes: Any) -> FillRow:
    fee = {"fee": D(changes.pop("fee", "0")), "fee_currency": changes.pop("fee_currency", "KRW")}
    symbol = changes.pop("symbol", "KRW-BTC")
    return FillRow("t", "c", 1, symbol, side, D(price), D(quantity), maker=False, ts=1, **fee)


def one(*fills: FillRow, currency: str = "KRW") -> Position:
    [position] = positions(fills, currency)
    return position


def test_buying_averages() -> None:
    held = one(fill("buy", "1", "100"), fill("buy", "3", "200"))
    assert (held.quantity, held.average, held.realized, held.fills) == (4, 175, 0, 2)


def test_selling_realizes_against_the_average() -> None:
    held = one(fill("buy", "1", "100"), fill("buy", "3", "200"), fill("sell", "2", "180"))
    assert (held.quantity, held.average, held.realized) == (2, 175, 10)


def test_a_closed_position_is_zero() -> None:
    held = one(fill("buy", "0.3", "10"), fill("sell", "0.1", "11"), fill("sell", "0.2", "12"))
    assert (held.quantity, held.cost, held.average, held.realized) == (0, 0, None, D("0.5"))


def test_a_fill_beyond_zero_opens_the_other_way() -> None:
    held = one(fill("buy", "1", "100"), fill("sell", "3", "110"))
    assert (held.quantity, held.average, held.realized) == (-2, 110, 10)
    held = one(fill("buy", "1", "100"), fill("sell", "3", "110"), fill("buy", "2", "100"))
    assert (held.quantity, held.realized) == (0, 30)


def test_fees_are_kept_by_currency() -> None:
    held = one(fill("buy", "1", "100", fee="0.05"), fill("buy", "1", "100", fee="0.01", fee_currency="BNB"))
    assert (held.fees, held.quantity) == ({"KRW": D("0.05"), "BNB": D("0.01")}, 2)


def test_a_fee_in_the_coin_lessens_what_is_held() -> None:
    bought = fill("buy", "1", "100", fee="0.001", fee_currency="BTC", symbol="BTCUSDT")
    assert one(bought, currency="USDT").quantity == D("0.999")
    bought = fill("buy", "1", "100", fee="0.001", fee_currency="BTC")
    assert one(bought).quantity == D("0.999")
    bought = fill("buy", "1", "100", fee="0.001", fee_currency="BNB", symbol="BTCUSDT")
    assert one(bought, currency="USDT").quantity == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.integers(1, 10**6),
            st.integers(1, 10**6),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_money_is_neither_made_nor_lost(moves: list[tuple[str, int, int]]) -> None:
    """Realized profit plus what the rest cost is all that was paid, to twenty digits."""
    held = one(*(fill(side, f"{lots}E-8", str(price)) for side, lots, price in moves))
    ways = [1 if side == "buy" else -1 for side, _, _ in moves]
    paid = sum(
        (way * D(lots).scaleb(-8) * price for way, (_, lots, price) in zip(ways, moves, strict=True)), D(0)
    )
    assert (
        held.quantity
        == sum((way * D(lots) for way, (_, lots, _) in zip(ways, moves, strict=True)), D(0)) / 10**8
    )
    assert abs(held.cost - held.realized - paid) < D("1E-20")
    assert (held.average is None) == (held.quantity == 0)
