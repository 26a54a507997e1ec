"""How far work is that takes a while: a bar on standard error, on a terminal only, and a file."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

WIDTH = 30
AFTER = 0.5
EVERY = 0.1


class Progress:
    """``update(done, total)`` tells at most ten times a second, from half a second on; ``clear`` wipes the
    line. The file that ``SIGMA_PROGRESS`` names holds both numbers, as ``done total``."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.shown = False
        self.visible = sys.stderr.isatty()
        file = os.environ.get("SIGMA_PROGRESS")
        self.file = Path(file) if file else None
        self.next = time.monotonic() + AFTER

    def update(self, done: int, total: int) -> None:
        """Show how much of the rows is done."""
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + EVERY
        if self.file is not None:
            draft = self.file.with_suffix(".new")  # renamed, so that a reader never finds half of it
            draft.write_text(f"{done} {total}")
            draft.replace(self.file)
        if self.visible:
            self._draw(done, min(done / total, 1.0) if total else 1.0)

    def _draw(self, done: int, part: float) -> None:
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
