"""The venue's own rules of a market, in place of those that the manifest assumed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction

from sigma_bot.errors import BadInputError
from sigma_bot.model.units import without_exponent
from sigma_bot.runtime.setup import set_market
from sigma_bot.spec import Market, StrategySpec, market_rules
from sigma_bot.spec.rules import FeeRules, MarketRules
from sigma_bot.trading.opening import OpenedBot
from sigma_bot.venues.error_rows import UNKNOWN_MARKET
from sigma_bot.venues.types import RefusedError, VenueClient, VenueMarket
from sigma_bot.venues.venue import Band

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What was read. ``bases``: by symbol, the currency that its units are; ``delisted``: symbols that the
    venue has removed; ``markets``: by symbol, what the venue says of the others."""

    bases: dict[str, str]
    delisted: frozenset[str]
    markets: dict[str, VenueMarket]


async def apply_venue_rules(venue: VenueClient, spec: StrategySpec, opened: OpenedBot) -> VenueRules:
    """Run with the venue's price steps, lots and minimums, whatever the manifest assumed. Raises
    BadInputError for a market that can't be traded. One that was suspended or removed since the run began is
    no reason to leave the others, and what is held, alone: it keeps the rules it had."""
    bases, delisted, markets = {}, set(), {}
    fresh = opened.loaded is None or opened.loaded.state is None
    for k, wanted in enumerate(spec.markets):
        where = f"spec.markets[{k}].symbol: {wanted.symbol}"
        try:
            market = await venue.market(wanted.symbol)
        except RefusedError as refused:
            if fresh or refused.code != UNKNOWN_MARKET:
                raise
            log.warning("%s was removed and can't be traded: %s", where, refused)
            delisted.add(wanted.symbol)
            bases[wanted.symbol] = base_of(wanted.symbol, spec.account.currency)
            continue
        _check_market(where, market, spec, fresh)
        rules = rules_of(market)
        _log_differences(wanted, rules)
        _set_rules(where, opened, k, rules, spec)
        _bound_position(opened, k, market)
        bases[wanted.symbol], markets[wanted.symbol] = market.base, market
    return VenueRules(bases, frozenset(delisted), markets)


def _check_market(where: str, market: VenueMarket, spec: StrategySpec, fresh: bool) -> None:
    if not market.active:
        if fresh:
            raise BadInputError(f"{where} is suspended or delisted at {spec.account.venue}")
        log.warning("%s is suspended or delisted at %s", where, spec.account.venue)
    if market.quote != spec.account.currency:
        raise BadInputError(
            f"{where} is quoted in {market.quote}, the account counts in {spec.account.currency}; "
            f"set spec.account.currency to {market.quote} or choose another symbol"
        )


def _log_differences(wanted: Market, rules: MarketRules) -> None:
    theirs, ours = rules.describe(), market_rules(wanted).describe()
    for name, rule in theirs.items():
        if rule != ours[name]:
            log.warning("%s: the venue's %s are used, not the manifest's", wanted.symbol, name)
            log.info("%s %s: venue %s, manifest %s", wanted.symbol, name, rule, ours[name])


def _set_rules(where: str, opened: OpenedBot, k: int, rules: MarketRules, spec: StrategySpec) -> None:
    target = opened.decisions.broker.markets[k]
    if target.lots and Fraction(target.lot_num, target.lot_den) != Fraction(rules.lot_size):
        raise BadInputError(
            f"{where}: the venue changed its lot size to {rules.lot_size} while a position is open; "
            "close it by hand and reset the bot"
        )
    kept = {n: getattr(target, n) for n in ("wake_below", "wake_above", "used_row")}
    set_market(target, rules, spec)
    for name, value in kept.items():
        setattr(target, name, value)


def _bound_position(opened: OpenedBot, k: int, market: VenueMarket) -> None:
    """The venue's largest position counts beside the manifest's."""
    target = opened.decisions.broker.markets[k]
    if market.max_position:
        most = int(market.max_position // market.lot_size)
        target.max_lots = min(target.max_lots or most, most)


def rules_of(market: VenueMarket) -> MarketRules:
    """The venue's own rules in the form of a manifest's."""
    bands = []
    for start, step in market.bands:
        fraction = Fraction(step)
        bands.append(Band(start, fraction.numerator, fraction.denominator))
    zero = market.min_notional * 0
    fees = FeeRules(without_exponent(market.maker_fee), without_exponent(market.taker_fee), zero, zero, zero)
    return MarketRules(
        market.symbol,
        tuple(bands),
        market.lot_size,
        max(market.min_quantity, market.lot_size),
        market.min_notional,
        fees,
    )


def base_of(symbol: str, quote: str) -> str:
    """The currency that a symbol's units are, from its name: of KRW-BTC and of BTCUSDT."""
    return symbol.removeprefix(f"{quote}-").removesuffix(quote)
