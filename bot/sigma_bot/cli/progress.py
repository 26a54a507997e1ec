"""A progress bar on standard error, on a terminal only and only for work that takes a while."""

from __future__ import annotations

import sys
import time

WIDTH = 30
AFTER = 0.5
EVERY = 0.1


class Progress:
    """``update(done, total)`` draws at most ten times a second, from half a second on; ``clear`` wipes the
    line."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.shown = False
        self.visible = sys.stderr.isatty()
        self.next = time.monotonic() + AFTER

    def update(self, done: int, total: int) -> None:
        """Show how much of the rows is done."""
        if not self.visible or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + EVERY
        part = min(done / total, 1.0) if total else 1.0
        full = int(part * WIDTH)
        self.shown = True  # before it is: Ctrl-C may come in between
        sys.stderr.write(f"\r{self.label} [{'#' * full}{'.' * (WIDTH - full)}] {part:4.0%}  {done:,} rows")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave no trace on the terminal."""
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self.shown = False
