"""Buy one lot, sell it, and so on, at times that depend on nothing but the clock."""

from sigma_bot import Strategy, param


class Flipper(Strategy):
    """A market order at every full ``every`` nanoseconds."""

    every: int = param(100_000_000_000, ge=1, description="time between two orders, ns")
    size: float = param(0.001, gt=0, description="quantity of one order")

    def on_tick(self, tick, broker):
        if tick.ts % self.every == 0:
            if broker.position > 0.0:
                broker.sell(self.size)
            else:
                broker.buy(self.size)
