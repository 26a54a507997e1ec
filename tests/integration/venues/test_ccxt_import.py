"""One exchange of ccxt costs one exchange, and the rest is still there for who asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sigma_bot.venues.ccxt_client import exchange_class


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("family", ["async_support", "pro"])
@pytest.mark.parametrize("venue", ["binance", "upbit", "bithumb"])
def test_only_the_one_exchange_is_imported(venue: str, family: str) -> None:
    others = run(
        "import sys\n"
        "from sigma_bot.venues.ccxt_client import exchange_class\n"
        f"cls = exchange_class({venue!r}, {family!r})\n"
        f"assert cls().id == {venue!r}\n"
        "print(sum(n.startswith('ccxt.') and n.count('.') == 2 and '.base' not in n for n in sys.modules))"
    )
    assert int(others) <= 4  # the exchange, its parent, and their lists of endpoints


def test_the_other_exchanges_come_when_they_are_named() -> None:
    run(
        "from sigma_bot.venues.ccxt_client import exchange_class\n"
        "ours = exchange_class('binance', 'pro')\n"
        "import ccxt\n"
        "assert issubclass(ours, ccxt.async_support.binance)\n"
        "assert issubclass(ccxt.pro.upbit, ccxt.async_support.upbit)\n"
        "assert issubclass(ccxt.InsufficientFunds, ccxt.ExchangeError)\n"
        "assert not hasattr(ccxt, 'no_such_exchange')\n"
    )


def test_an_unknown_exchange_is_an_error_of_the_caller() -> None:
    with pytest.raises(AttributeError, match="no_such_exchange"):
        exchange_class("no_such_exchange")
