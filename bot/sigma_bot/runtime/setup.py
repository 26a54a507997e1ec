"""From a manifest's words to the engine's numbers: the broker's first state."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import FAR, MAX_ORDERS, NEVER
from sigma_bot.engine.types import Market as EngineMarket
from sigma_bot.errors import BadInputError
from sigma_bot.spec.manifest import BacktestSpec, StrategySpec
from sigma_bot.spec.rules import MarketRules, market_rules

LARGEST = 4 * 10**18


def build_broker(spec: BacktestSpec | StrategySpec, kind: str, timeframe: int) -> Broker:
    """The broker as it stands before the first row of data of ``kind`` ("tick" or "bar" of ``timeframe``
    ns)."""
    b = Broker()
    account, execution = spec.account, spec.execution
    b.scale = float(10**account.precision)
    b.cash_quanta = quanta(account.cash, account.precision)
    b.cash = b.equity = b.peak = b.cash_quanta / b.scale
    b.leveraged = int(account.type == "margin")
    b.liquidation_fee = float(account.liquidation_fee)
    b.latency = execution.latency.ns
    if kind == "bar" and b.latency < timeframe:
        b.latency = 0
    b.data_timeframe = timeframe
    b.on_bars = int(kind == "bar")
    b.fill_at_close = int(kind == "bar" and execution.fill_at == "close")
    b.queue_model = int(execution.queue)
    b.half_spread = float(execution.spread / 2)
    b.slippage = float(execution.slippage)
    b.slippage_ticks = float(execution.slippage_ticks)
    b.volume_limit = float(execution.volume_limit)
    b.next_id = 1
    b.row = b.ambiguous_row = -1
    b.next_wake = b.next_sample = -NEVER
    b.n_free = MAX_ORDERS
    b.free = list(range(MAX_ORDERS - 1, -1, -1))
    b.scratch.expire = b.scratch.cancel_at = b.scratch.modify_at = NEVER
    set_timeframes(b, spec, kind, timeframe)
    set_risk(b, spec)
    b.n_markets = len(spec.markets)
    for market, s in zip(spec.markets, b.markets, strict=False):
        set_market(s, market_rules(market), spec)
    b.own_lot[: b.n_markets] = [int(market.lot_size is None) for market in spec.markets]
    return b


def quanta(amount: Decimal, precision: int) -> int:
    """An amount of money in quanta of ``10 ** -precision``, to the nearest."""
    return int(amount.scaleb(precision).to_integral_value())


def set_timeframes(b: Broker, spec: BacktestSpec | StrategySpec, kind: str, timeframe: int) -> None:
    """Which bars the strategy gets: those of the data, and longer ones built from rows."""
    wanted = sorted(t.ns for t in spec.timeframes)
    b.own_bars = int(kind == "bar" and (not wanted or timeframe in wanted))
    built = [ns for ns in wanted if not (kind == "bar" and ns == timeframe)]
    for ns in built:
        if kind == "bar" and ns % timeframe != 0:
            raise BadInputError(
                f"spec.timeframes: bars of {ns / 1e9:g} s cannot be built from "
                f"data of {timeframe / 1e9:g} s bars; give a multiple of the data's timeframe"
            )
    b.n_timeframes = len(built)
    b.timeframes = (built + [0] * len(b.timeframes))[: len(b.timeframes)]


def set_risk(b: Broker, spec: BacktestSpec | StrategySpec) -> None:
    """Limits of the manifest; what is left out is 0, which is off."""
    risk, precision = spec.risk, spec.account.precision
    r = b.risk
    r.max_notional = 0 if risk.max_notional is None else quanta(risk.max_notional, precision)
    r.max_open = risk.max_open_orders
    r.max_per_minute = risk.max_orders_per_minute or 0
    r.max_daily_loss = 0 if risk.max_daily_loss is None else quanta(risk.max_daily_loss, precision)
    r.max_drawdown = float(risk.max_drawdown or 0)
    r.collar = float(risk.price_collar or 0)
    r.stale_after = 0 if risk.stale_after is None else risk.stale_after.ns
    r.day_offset = risk.day_start.ns
    r.next_day = -NEVER


def set_market(s: EngineMarket, rules: MarketRules, spec: BacktestSpec | StrategySpec) -> None:
    """One market's rules as integer fractions."""
    precision = spec.account.precision
    s.wake_below, s.wake_above = -FAR, FAR
    s.used_row = -1
    s.lot_num, s.lot_den = rules.lot_size.as_integer_ratio()
    s.unit_num, s.unit_den = rules.lot_size.scaleb(precision).as_integer_ratio()
    s.min_lots = -int(-rules.min_quantity // rules.lot_size)
    s.min_notional = quanta(rules.min_notional, precision)
    limit = spec.risk.max_position
    s.max_lots = 0 if limit is None else int(limit // rules.lot_size)
    s.maker_num, s.maker_den = rules.fees.maker.as_integer_ratio()
    s.taker_num, s.taker_den = rules.fees.taker.as_integer_ratio()
    per_lot = (rules.fees.per_unit * rules.lot_size).scaleb(precision)
    s.per_lot_num, s.per_lot_den = per_lot.as_integer_ratio()
    s.fee_rate = float(max(rules.fees.maker, rules.fees.taker, Decimal(0)))
    s.fee_per_lot = float(per_lot)
    s.fee_fixed = quanta(rules.fees.fixed, precision)
    s.fee_minimum = quanta(rules.fees.minimum, precision)
    # the fee is computed in 64-bit integers: 2 * notional * num must fit
    s.largest = LARGEST // (2 * max(abs(s.maker_num), abs(s.taker_num), 1)) - max(s.maker_den, s.taker_den)
    s.margin = float(1 / spec.account.leverage)
    s.maintenance = float(spec.account.maintenance_margin)
    s.n_bands = max(len(rules.bands), 1)
    s.bands[0].den = 1
    for source, band in zip(rules.bands, s.bands, strict=False):
        band.start, band.num, band.den = float(source.start), source.num, source.den
