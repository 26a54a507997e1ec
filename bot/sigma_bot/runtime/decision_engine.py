"""The deterministic heart of a bot: ticks and inputs in, events out. No clock, no I/O."""

from __future__ import annotations

from sigma_bot.engine import external
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.orders import cancel, submit
from sigma_bot.engine.step import step_tick
from sigma_bot.engine.types import DONE, E_REJECT, GTC, MARKET, NEVER, R_WARMUP, Event, Tick
from sigma_bot.model.messages import TickBatch
from sigma_bot.runtime.callbacks import RAISES, strategy_error
from sigma_bot.runtime.setup import build_broker
from sigma_bot.spec import StrategySpec
from sigma_bot.strategy import Strategy

FLATTEN_ATTEMPTS = 5
IDLE_STRATEGY = Strategy()
"""Called in place of a strategy that is suspended."""


def broker_for(spec: StrategySpec) -> Broker:
    """The broker before the first tick. In LIVE the venue fills, and nothing is assumed about latency."""
    b = build_broker(spec, "tick", 0)
    b.next_sample = NEVER  # the equity curve is the journal's: see `sigma_bot.runtime.equity`
    b.has_volume = 1
    if spec.mode == "live":
        b.external = 1
        b.own_lot = [0] * len(b.own_lot)  # the venue's lots, whatever they are
        b.latency = 1
    return b


class DecisionEngine:
    """Engine, strategy, and the row that is being handled."""

    def __init__(self, spec: StrategySpec, strategy: Strategy) -> None:
        self.strategy = strategy
        # the strategy raised on this tick, and is not called again until it is resumed
        self.suspended_from: int | None = None
        self.broker = broker_for(spec)
        self.warmup = spec.warmup.ns
        self.symbols = {market.symbol: i for i, market in enumerate(spec.markets)}
        self.tick = Tick()
        self.warmup_rejected = False  # whether an order was rejected in the warm-up
        self.close_attempts: dict[int, int] = {}  # by market, how often flatten has asked for its close

    def handle(self, batch: TickBatch) -> None:
        """Step through the batch's ticks of our markets, in the order of the manifest: as a backtest merges
        rows of one instant. Raises StrategyError when a callback raises."""
        ours = [(self.symbols[m.symbol], m) for m in batch.ticks if m.symbol in self.symbols]
        ours.sort(key=lambda pair: pair[0])
        b, t = self.broker, self.tick
        strategy = self._strategy_at(batch.seq)
        for symbol, m in ours:
            t.ts, t.symbol = batch.ts, symbol
            t.bid, t.ask, t.bid_size, t.ask_size = m.bid, m.ask, m.bid_size, m.ask_size
            t.last, t.volume, t.low, t.high = m.last, m.volume, m.low, m.high
            if b.row < 0:
                b.risk.trading_from = batch.ts + self.warmup
            b.row += 1
            try:
                step_tick(b, t, strategy)
            except RAISES as error:
                raise strategy_error(error, b) from error

    def _strategy_at(self, seq: int | None) -> Strategy:
        since = self.suspended_from
        return IDLE_STRATEGY if since is not None and (seq is None or seq >= since) else self.strategy

    def deliver_fills(self) -> None:
        """Let the strategy know fills that came between two ticks."""
        try:
            external.deliver_fills(self.broker, self._strategy_at(None))
        except RAISES as error:
            raise strategy_error(error, self.broker) from error

    def take_events(self) -> list[Event]:
        """The events since the last call, as objects of their own. Of the orders rejected in the warm-up only
        the first is kept: a strategy may try with every tick of its history."""
        b = self.broker
        events = []
        for e in b.events[: b.n_events]:
            early = e.kind == E_REJECT and e.reason == R_WARMUP
            if not (early and self.warmup_rejected):
                events.append(_copy(e))
            self.warmup_rejected = self.warmup_rejected or early
        b.n_events = b.n_samples = b.delivered = 0
        return events

    def flatten(self) -> bool:
        """A step towards nothing held, from outside the strategy: its orders are cancelled, and once none is
        left the positions are closed at market. Whether there is nothing left that can be done."""
        b = self.broker
        self.cancel_all()
        if b.n_active > 0:
            return False
        closing = False
        for k in range(b.n_markets):
            lots, tries = b.markets[k].lots, self.close_attempts.get(k, 0)
            if lots != 0 and tries < FLATTEN_ATTEMPTS:
                self.close_attempts[k] = tries + 1
                side = -1 if lots > 0 else 1
                submit(
                    b,
                    symbol=k,
                    side=side,
                    lots=abs(lots),
                    order_type=MARKET,
                    limit=0.0,
                    stop=0.0,
                    trail=0.0,
                    tif=GTC,
                    expire=0,
                    post_only=0,
                    reduce_only=1,
                    parent=0,
                    group=0,
                )
                closing = True
        return not closing

    def held_symbols(self) -> list[str]:
        """Symbols with a position."""
        return [name for name, k in self.symbols.items() if self.broker.markets[k].lots != 0]

    def cancel_all(self) -> None:
        """Ask every order to go that does not close a position at market."""
        b = self.broker
        for o in [b.orders[slot] for slot in b.active[: b.n_active]]:
            closing = o.order_type == MARKET and o.reduce_only != 0
            if not closing and o.state != DONE and o.cancel_at == NEVER:
                cancel(b, o.id)

    @property
    def flat(self) -> bool:
        """Whether nothing is held and nothing is open."""
        b = self.broker
        return b.n_active == 0 and all(m.lots == 0 for m in b.markets[: b.n_markets])


def _copy(source: Event) -> Event:
    out = Event.__new__(Event)
    for name in Event.__fields__:
        setattr(out, name, getattr(source, name))
    return out
