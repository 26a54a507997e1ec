"""The base class of every strategy."""

from __future__ import annotations

from sigma_bot.kernel.struct import Struct


class Strategy(Struct):
    """Subclass it, declare parameters and indicators as annotated fields, and override what you need.

    ``on_start`` runs once before the first row and ``on_stop`` after the last one, always as ordinary
    Python. The others are called by the engine, compiled or interpreted with equal results.
    """

    unused: int  # Numba passes no argument for a struct without fields

    def on_start(self):
        """Set up indicators from the parameters."""

    def on_tick(self, tick, broker):
        """A tick of one symbol arrived; ``tick.symbol`` says which (its place in the manifest's markets)."""

    def on_bar(self, bar, broker):
        """A bar closed; ``bar.timeframe`` and ``bar.symbol`` say which."""

    def on_fill(self, fill, broker):
        """One of this strategy's orders was executed, wholly or in part."""

    def on_stop(self, broker):
        """The run is over; orders sent here are too late."""
