"""What a backtest assumed and what its reader should beware of, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sigma_bot.decimals import fixed_point
from sigma_bot.spec.manifest import BacktestSpec
from sigma_bot.spec.rules import market_rules


def assumptions_of(spec: BacktestSpec, kind: str) -> list[tuple[str, str]]:
    """Name and sentence of every fill assumption that was in force."""
    e = spec.execution
    spread = f"{fixed_point(e.spread)} of the price"
    slip = f"{fixed_point(e.slippage)} of the price and {e.slippage_ticks} price steps"
    volume = (
        "without limit"
        if e.volume_limit == 0
        else f"at most {fixed_point(e.volume_limit)} of what was traded"
    )
    out = []
    if kind == "bar":
        where = "the close that caused them" if e.fill_at == "close" else "the next bar's open"
        out += [
            (
                "market orders",
                f"fill at {where}, half the spread ({spread}) and the slippage ({slip}) against you",
            ),
            ("inside a bar", "the adverse extreme comes before the favourable one"),
            ("limit orders", f"fill at their limit when the bar trades beyond it, {volume}"),
            ("stops", "fill at the stop, or at the open where the market opens beyond it, plus slippage"),
            ("latency", "an order acts from the next bar's open; less than a bar cannot be seen"),
        ]
    else:
        out += [
            ("market orders", f"take the displayed size at the quote, the rest is worse by {slip}"),
            ("spread", f"from the quotes; where bid equals ask, {spread}"),
            ("limit orders", f"fill at their limit when the market trades through it, {volume}"),
            ("stops", "trigger on trades, then act as market or limit orders"),
            ("latency", f"{e.latency} from the decision to the venue, for orders, changes and cancels"),
        ]
        if e.queue:
            out.append(("queue", "orders wait behind the size displayed when they came"))
    for market in spec.markets:
        rules = market_rules(market)
        fees = rules.fees
        text = f"maker {fixed_point(fees.maker)}, taker {fixed_point(fees.taker)}"
        for word, value in (("per unit", fees.per_unit), ("minimum", fees.minimum), ("fixed", fees.fixed)):
            text += f", {word} {fixed_point(value)}" if value else ""
        out.append((f"fees {market.symbol}", text))
    return out


def warnings_of(spec: BacktestSpec, kind: str, has_volume: bool, counts: Mapping[str, int]) -> list[str]:
    """What would make a careful reader doubt the result."""
    out = []
    if spec.execution.volume_limit > 0 and not has_volume:
        out.append("the data carry no volume: resting orders fill without a volume limit")
    if counts["ambiguous_bars"]:
        n = counts["ambiguous_bars"]
        out.append(
            f"in {n} {kind}(s) orders, a liquidation or a funding payment could come in another order; "
            "the one against you is assumed"
        )
    if counts["liquidations"]:
        out.append(f"the account was liquidated {counts['liquidations']} time(s)")
    if counts["orders"] == 0:
        out.append("the strategy sent no order" + ("; all were rejected" if counts["rejected"] else ""))
    if kind == "bar" and spec.execution.fill_at == "close":
        out.append(
            "market orders fill at the close that the decision was made on; live trading cannot do that"
        )
    return out


WHAT_BECAME = {
    "keep": "it is marked at the last price until the end of the run",
    "close": "it was closed at the last price",
    "zero": "what was bought was written off to zero",
}


def market_ended(spec: BacktestSpec, symbol: str, end: str, held: Decimal) -> str:
    """A market's data ended while something was held there."""
    rule = spec.execution.market_end
    return (
        f"{symbol}: the data end at {end} while {fixed_point(held)} were held; {WHAT_BECAME[rule]} "
        f'("execution.marketEnd: {rule}" of keep, close, zero)'
    )
