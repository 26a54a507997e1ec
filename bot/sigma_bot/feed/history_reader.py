"""Pages of a recording for bots that warm up or were away, read in a process of its own:
``python -m sigma_bot.feed.history_reader OUT VENUE``.

Requests come on standard input, pages go to standard output, each behind its length (uint32, little endian).
It ends with its input. As in `parts`, pyarrow's memory must not stay in the feed.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from sigma_bot.bus.segment_log import read_frames
from sigma_bot.errors import SigmaError
from sigma_bot.feed.compaction import ENDING, SPOOL, date_of, read_covered, spans
from sigma_bot.feed.recording import recorded, segments_after, unmoved
from sigma_bot.model.messages import (
    HistoryPage,
    HistoryRequest,
    TickBatch,
    TickMessage,
    decode_batch,
    decode_history_request,
)

LENGTH = struct.Struct("<I")
ROWS = 20_000
"""Ticks of a page at most, about: 2 MB."""
ENOUGH_S = 0.5
"""After so long a page is sent as it is: others wait."""
_COLUMNS = ("ts", "gap", "bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high",
            "exchange_ts", "received_ts")  # fmt: skip


def main() -> int:
    """Answer until the input ends."""
    out, venue = Path(sys.argv[1]), sys.argv[2]
    os.nice(10)  # the feed's clock and the bots come first
    while payload := read_frame(sys.stdin.buffer):
        request = decode_history_request(payload)
        try:
            answer = page(out, venue, request)
        except (OSError, ValueError, SigmaError) as error:  # pyarrow's are of the first two
            answer = HistoryPage(request.after, request.until, request.after, why=str(error))
        written = answer.encode()
        sys.stdout.buffer.write(LENGTH.pack(len(written)) + written)
        sys.stdout.buffer.flush()
    return 0


def read_frame(source: BinaryIO) -> bytes:
    """The next message; empty at the end."""
    head = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def page(
    out: Path, venue: str, request: HistoryRequest, clock: Callable[[], float] = time.monotonic
) -> HistoryPage:
    """The next part of what was asked for. Raises BadInputError without a recording, OSError when it can't be
    read."""
    end = request.until - 1
    begun, missing = unmoved(lambda: beginning(out / venue, request))
    if begun > end:
        return HistoryPage(request.after, request.until, end, tuple(missing))
    found: list[bytes] = []
    rows, upto, started = 0, begun - 1, clock()
    while True:
        last = min(upto + max(ROWS // len(request.symbols), 100), end)
        part = recorded(out, venue, request.symbols, upto + 1, last)
        found += merged(venue, part.tables)
        rows += sum(len(table) for table in part.tables.values())
        missing += part.missing
        upto = last
        if upto == end or rows >= ROWS // 2 or clock() - started > ENOUGH_S:
            break
    return HistoryPage(request.after, request.until, upto, tuple(missing), tuple(found))


def merged(venue: str, tables: Mapping[str, Any]) -> list[bytes]:
    """The batches that the tables were made of, less the ticks of other symbols: by number, then symbol."""
    rows = []
    for symbol, table in tables.items():
        columns = (_numbers(table[name]) for name in _COLUMNS)
        rows += [(seq, symbol, *rest) for seq, *rest in zip(_numbers(table["seq"]), *columns, strict=True)]
    rows.sort(key=lambda row: row[:2])
    found: list[bytes] = []
    at = 0
    while at < len(rows):
        seq, ts = rows[at][0], rows[at][2]
        end = at + 1
        while end < len(rows) and rows[end][0] == seq:
            end += 1
        gaps = tuple(row[1] for row in rows[at:end] if row[3])
        ticks = tuple(TickMessage(row[1], *row[4:]) for row in rows[at:end])
        found.append(TickBatch(venue, seq, ts, gaps, ticks).encode())
        at = end
    return found


def _numbers(column: Any) -> list[Any]:
    """An Arrow column as Python's own numbers; times as ns."""
    values = column.to_numpy()
    return list((values.astype("int64") if values.dtype.kind == "M" else values).tolist())


def beginning(root: Path, request: HistoryRequest) -> tuple[int, list[tuple[int, int]]]:
    """The number to begin with, at most ``until``, and what is passed over as too old. A fresh run begins
    with a tick; one that goes on is to hear of what is missing before the next, too."""
    if request.since <= 0:
        return request.after + 1, []
    begun = first_number(root, request)
    if request.after < 0:
        return begun, []
    if begun == first_number(root, replace(request, since=1)):
        return request.after + 1, []
    return begun, [(request.after + 1, begun - 1)]


def first_number(root: Path, request: HistoryRequest) -> int:
    """The first number behind ``after`` whose batch is of ``since`` or later and has one of the symbols;
    ``until`` when there is none before that."""
    found = [_in_files(root / symbol, request) for symbol in request.symbols]
    numbers = [number for number in found if number is not None]
    if not numbers:
        numbers = _in_segment_log(root, request)
    return min([request.until, *numbers])


def _in_files(folder: Path, request: HistoryRequest) -> int | None:
    """The first such number of a symbol that is in a Parquet file."""
    from pyarrow import parquet

    day = date_of(request.since - 1)
    for path in sorted(folder.glob(f"*{ENDING}"), key=lambda path: path.name.removesuffix(ENDING)):
        if path.name.split(".")[0] < day or spans(path)[-1][1] <= request.after:
            continue
        table = parquet.read_table(path, columns=["seq", "ts"])
        seq, ts = table["seq"].to_numpy(), table["ts"].to_numpy().astype("int64")
        fits = seq[(seq > request.after) & (ts >= request.since)]
        if len(fits):
            return int(fits[0])
    return None


def _in_segment_log(root: Path, request: HistoryRequest) -> list[int]:
    """The first such number that is in no Parquet file yet, or nothing."""
    covered = read_covered(root)
    after = max(request.after, covered[-1][1] if covered else -1)
    for path in segments_after(root / SPOOL, after):
        for seq, payload in read_frames(path, after):
            batch = decode_batch(payload)
            if batch.ts >= request.since and any(tick.symbol in request.symbols for tick in batch.ticks):
                return [seq]
    return []


if __name__ == "__main__":
    sys.exit(main())
