"""Every published batch on disk: first in a spool, then as Parquet by venue, symbol and day.

``OUT/VENUE/.spool/FIRST.log`` takes each batch before it is published (one write, so SIGKILL loses nothing).
Every quarter of an hour a spool file becomes parts, ``OUT/VENUE/SYMBOL/DATE.FIRST.parquet``; at the end of
the day, and of the feed, the parts become one file, ``OUT/VENUE/SYMBOL/DATE.parquet``. Every file is written
under another name, synced and renamed, and each step may be repeated from its start after a kill.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sigma_bot.bus import Bus, BusError
from sigma_bot.bus.segment_log import SegmentLog
from sigma_bot.feed.compaction import SPOOL, compact_in_process, date_of, days_in_parts
from sigma_bot.model.messages import decode_batch, ticks_log
from sigma_bot.times import MINUTE

PART_NS = 15 * MINUTE
AGAIN_NS = MINUTE
"""After a failure: each try is a process."""


class Recorder:
    """Writes one venue's recording. One process at a time: BusError when another has the folder, or when it
    cannot be written at the start. Later a full disk stops nobody: what is missing is taken from the bus's
    log once there is room (``catch_up``)."""

    def __init__(self, out: Path, venue: str) -> None:
        self._root, self._venue = out / venue, venue
        self._spool = SegmentLog(self._root / SPOOL, kept=1 << 62)
        self._spool.rotate()  # what an earlier process left becomes parts as it is
        self._bucket = -1
        self._rolled: list[tuple[int, Path]] = []  # closed spool files whose parts are written
        self._merged = ""  # the day before which every part is in its day's file
        self._again = 0  # after a failure: not before
        self.behind = False
        self.failure = ""

    @property
    def last(self) -> int:
        """The newest batch recorded; -1 for none."""
        return self._spool.last

    def write(self, seq: int, ts: int, payload: bytes) -> None:
        """Record a batch before it is published."""
        if self.behind or (self.last >= 0 and seq != self.last + 1):
            self.behind = True
            return
        try:
            self._append(seq, ts, payload)
        except BusError as error:
            self.behind, self.failure = True, str(error)

    def _append(self, seq: int, ts: int, payload: bytes) -> None:
        bucket = (ts - 1) // PART_NS  # a tick's stamp is the end of its interval
        if bucket != self._bucket:
            self._spool.rotate()
            self._bucket = bucket
        self._spool.append(seq, payload)

    def tail(self, after: int) -> list[tuple[int, bytes]]:
        """Recorded batches with a higher number that are still in the spool."""
        return self._spool.read(after, 1 << 30)

    async def catch_up(self, bus: Bus) -> None:
        """Take from the log what could not be written, or was published without a recording."""
        while page := await bus.read(ticks_log(self._venue), self.last):
            try:
                for seq, payload in page:
                    self._append(seq, decode_batch(payload).ts, payload)
            except BusError as error:
                self.failure = str(error)
                return
        self.behind, self.failure = False, ""

    async def roll(self, now: int, finish: bool = False) -> None:
        """Turn closed spool files into parts, and the parts of days before ``now`` (all with ``finish``)
        into the day's file. The clock goes on meanwhile. Raises OSError when the disk is full; call it again
        later: it tries once a minute."""
        if not finish and now < self._again:
            return
        if finish or (now - 1) // PART_NS != self._bucket:
            self._spool.rotate()
        closed = list(self._spool.closed_segments())
        today = None if finish else date_of(now)
        fresh = closed if closed != self._rolled else []
        new_day = today is None or today != self._merged
        if fresh or (new_day and days_in_parts(self._root, today)):
            try:
                paths = [path for _, path in fresh]
                await asyncio.to_thread(compact_in_process, self._root, self._venue, paths, today)
            except OSError:
                self._again = now + AGAIN_NS
                raise
            self.failure = self.failure if self.behind else ""
        if fresh:
            # The newest stays until the next: the bus may not have all of it yet.
            self._spool.drop_segments(closed[-1][0] - 1)
            self._rolled = closed[-1:]
        self._merged = today or ""

    def close(self) -> None:
        """Give the files back."""
        self._spool.close()
