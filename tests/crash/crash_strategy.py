"""The strategy of the crash tests: it does what a tick's volume asks for, and decides nothing by itself."""

REST, BUY, SELL, TAKE, CANCEL, MODIFY, BRACKET, STOP = range(1, 9)
CODE = '''
from sigma_bot import Strategy


class Script(Strategy):
    """The volume of a tick says what to do."""

    last: int = 0

    def on_tick(self, tick, broker):
        what = int(tick.volume)
        if what == 1:
            self.last = broker.buy(0.01, limit=tick.bid * 0.9)
        elif what == 2:
            self.last = broker.buy(0.01)
        elif what == 3:
            broker.close()
        elif what == 4:
            self.last = broker.buy(0.01, limit=tick.ask)
        elif what == 5:
            broker.cancel_all()
        elif what == 6:
            broker.modify(self.last, limit=tick.bid * 0.95)
        elif what == 7:
            self.last = broker.buy(0.01, stop_loss=tick.bid * 0.9, take_profit=tick.ask * 1.1)
        elif what == 8:
            self.last = broker.buy(0.01, stop=tick.ask * 1.02)
'''
