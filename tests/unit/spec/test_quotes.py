"""An account counts in one currency; what the symbols say of theirs is held against it."""

from __future__ import annotations

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.spec.quotes import quote_of
from tests.unit.engine.world import manifest


@pytest.mark.parametrize(
    ("symbol", "quote"),
    [
        ("KRW-BTC", "KRW"),
        ("BTC-ETH", "BTC"),
        ("BTC-XRP", "BTC"),
        ("USDT-BTC", "USDT"),
        ("BTC/KRW", "KRW"),
        ("ETH/BTC", "BTC"),
        ("BTC/USDT:USDT", "USDT"),
        ("BTC-USD", "USD"),
        ("EUR-USD", "USD"),
        ("BTCUSDT", "USDT"),
        ("ETHBTC", "BTC"),
        ("USDJPY", "JPY"),
        ("BTC-PERP", None),
        ("BRK-B", None),
        ("GOOG", None),
        ("AAA", None),
        ("005930", None),
    ],
)
def test_the_quote_currency_of_a_symbol(symbol, quote):
    assert quote_of(symbol) == quote


def refused(account, *symbols):
    with pytest.raises(BadInputError) as error:
        manifest(markets=[{"symbol": s} for s in symbols], account=account)
    return str(error.value)


@pytest.mark.parametrize(
    ("account", "symbols", "say"),
    [
        (
            {"currency": "KRW"},
            ("KRW-BTC", "BTC-ETH"),
            '"BTC-ETH" is quoted in BTC and the account counts in KRW',
        ),
        ({}, ("KRW-BTC", "BTC-ETH"), '"BTC-ETH" is quoted in BTC and "KRW-BTC" in KRW'),
        ({"currency": "KRW"}, ("BTC-ETH",), "the account counts in KRW"),
        ({"currency": "USD"}, ("EURUSD", "USDJPY"), '"USDJPY" is quoted in JPY'),
        ({}, ("BTC/USDT", "BTC/USDC"), '"BTC/USDC" is quoted in USDC'),
    ],
)
def test_two_currencies_in_one_account_are_refused(account, symbols, say):
    text = refused(account, *symbols)
    assert say in text
    assert "spec.markets" in text


@pytest.mark.parametrize(
    ("account", "symbols"),
    [
        ({"currency": "KRW"}, ("KRW-BTC", "ETH/KRW")),
        ({"currency": "USD"}, ("BTC/USDT", "ETHUSDT")),
        ({"currency": "USDT"}, ("BTC/USDT", "BTC-PERP", "GOOG")),
        ({}, ("KRW-BTC", "KRW-ETH")),
        ({"currency": "BTC", "cash": "1"}, ("BTC-ETH", "ETH/BTC")),
    ],
)
def test_what_fits_is_taken(account, symbols):
    assert manifest(markets=[{"symbol": s} for s in symbols], account=account)
