"""Long one unit while the fast average of the close is above the slow one, flat otherwise."""

from sigma_bot import Sma, Strategy, param


class SmaCross(Strategy):
    """Hold ``size`` units while the fast average is above the slow one."""

    fast: int = param(16, ge=1, le=256, description="length of the fast average")
    slow: int = param(64, ge=2, le=256, description="length of the slow average")
    size: float = param(1.0, gt=0, description="units to hold")
    fast_sma: Sma[256]
    slow_sma: Sma[256]

    def on_start(self):
        self.fast_sma.setup(self.fast)
        self.slow_sma.setup(self.slow)

    def on_bar(self, bar, broker):
        fast = self.fast_sma.update(bar.close)
        slow = self.slow_sma.update(bar.close)
        if not self.slow_sma.ready:
            return
        if fast > slow and broker.position == 0:
            broker.buy(self.size)
        elif fast < slow and broker.position > 0:
            broker.close()
