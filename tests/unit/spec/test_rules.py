from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.spec import Market, market_rules
from sigma_bot.venues.venue import band


def rules(**fields: object):
    return market_rules(Market.model_validate({"symbol": "KRW-BTC", **fields}))


def step(table, price: str) -> Fraction:
    return next(Fraction(b.num, b.den) for b in reversed(table.bands) if b.start <= Decimal(price))


@pytest.mark.parametrize(
    ("price", "tick"),
    [
        ("150000000", "1000"),
        ("1000000", "1000"),
        ("999999", "500"),
        ("500000", "500"),
        ("499999", "100"),
        ("100000", "100"),
        ("99999", "50"),
        ("50000", "50"),
        ("49999", "10"),
        ("10000", "10"),
        ("9999", "5"),
        ("5000", "5"),
        ("4999", "1"),
        ("100", "1"),
        ("99.9", "0.1"),
        ("10", "0.1"),
        ("9.99", "0.01"),
        ("0.999", "0.001"),
    ],
)
def test_upbit_won_steps(price: str, tick: str) -> None:
    assert step(rules(rules="upbit"), price) == Fraction(tick)


def test_a_preset_brings_minimums_and_fees_and_yields_to_the_manifest() -> None:
    preset = rules(rules="upbit")
    assert (preset.min_notional, preset.fees.taker, preset.fees.maker) == (
        5000,
        Decimal("0.0005"),
        Decimal("0.0005"),
    )
    own = rules(rules="upbit", tickSize="0.5", minNotional="1", fees={"taker": "0.01", "maker": "-0.001"})
    assert own.tick_size == Decimal("0.5")
    assert own.min_notional == 1
    assert (own.fees.taker, own.fees.maker) == (Decimal("0.01"), Decimal("-0.001"))


def test_without_anything_there_is_no_grid_and_a_tenth_of_a_percent_of_fee() -> None:
    bare = rules()
    assert bare.bands == ()
    assert bare.tick_size is None
    assert bare.lot_size == bare.min_quantity == Decimal("0.00000001")
    assert bare.fees.taker == bare.fees.maker == Decimal("0.001")
    assert bare.min_notional == 0


def test_a_fee_block_without_a_maker_fee_charges_makers_as_takers() -> None:
    assert rules(fees={"taker": "0.002"}).fees.maker == Decimal("0.002")


def test_a_minimum_below_the_lot_is_the_lot() -> None:
    assert rules(lotSize="1", minQuantity="0.5").min_quantity == 1


@given(st.decimals("0.000000000001", "100000", places=12))
def test_steps_are_exact_fractions_in_lowest_terms(tick: Decimal) -> None:
    made = band("0", tick)
    assert Fraction(made.num, made.den) == Fraction(tick)
    assert Fraction(made.num, made.den).denominator == made.den
