"""The base class of every strategy."""

from __future__ import annotations

from sigma_bot.kernel.struct import Struct


class Strategy(Struct):
    """Subclass it, declare parameters and indicators as annotated fields, and override what you need.

    ``on_start`` runs once before the first row and ``on_stop`` after the last one, always as ordinary
    Python. The others are called by the engine, compiled or interpreted with equal results. Times are int
    nanoseconds since 1970 UTC, prices and money floats in the account's currency, quantities units of the
    symbol. What a callback raises ends a backtest and halts a bot, with the file and the line.
    """

    unused: int  # Numba passes no argument for a struct without fields

    def on_start(self):
        """Set up indicators from the parameters. A bot calls it at every start, before stored fields are put
        back."""

    def on_tick(self, tick, broker):
        """A tick (``Tick``) of one symbol arrived; ``tick.symbol`` says which (its place in the manifest's
        markets). On bars it is never called."""

    def on_bar(self, bar, broker):
        """A bar (``Bar``) closed; ``bar.timeframe``, in nanoseconds, and ``bar.symbol`` say which."""

    def on_fill(self, fill, broker):
        """One of this strategy's orders was executed, wholly or in part (``Event``). Orders may be sent from
        here."""

    def on_stop(self, broker):
        """A backtest is over; orders sent here are too late. A bot never calls it: it goes on later."""
