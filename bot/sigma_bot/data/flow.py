"""Streams of chunks: merge several symbols by time, cut to size, hash the content, read ahead in one
thread."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from sigma_bot.data.rules import Columns

ROWS = 1 << 16  # rows in a chunk: small enough to stay flat in memory, large enough to cost nothing
SMALL = 1 << 14


def merge(streams: Sequence[Iterator[Columns]], key: str) -> Iterator[Columns]:
    """One stream ordered by (``key``, position of the stream), with a ``symbol`` column (int32, the
    position).

    Each stream is sorted by ``key``. Memory: about one chunk of each stream.
    """
    if len(streams) == 1:
        zeros = np.zeros(0, np.int32)
        for chunk in streams[0]:
            zeros = zeros if len(zeros) >= len(chunk[key]) else np.zeros(len(chunk[key]), np.int32)
            yield {**chunk, "symbol": zeros[: len(chunk[key])]}
        return
    held: list[Columns | None] = [next(s, None) for s in streams]
    ended = [h is None for h in held]
    while any(h is not None for h in held):
        # A stream that has not ended may hold more rows at its last time, so those wait.
        limits = [None if done or h is None else int(h[key][-1]) for h, done in zip(held, ended, strict=True)]
        limit = min((x for x in limits if x is not None), default=None)
        pieces = []
        for i, h in enumerate(held):
            if h is not None:
                cut = len(h[key]) if limit is None else int(np.searchsorted(h[key], limit))
                pieces.append((i, {n: v[:cut] for n, v in h.items()}))
                held[i] = {n: v[cut:] for n, v in h.items()} if cut < len(h[key]) else None
        merged = _ordered(pieces, key)
        if len(merged[key]):
            yield merged
        for i, own in enumerate(limits):
            if own is not None and own == limit:
                more, rest = next(streams[i], None), held[i]
                ended[i] = more is None
                if more is not None and rest is not None:
                    held[i] = {n: np.concatenate([v, more[n]]) for n, v in rest.items()}


def _ordered(pieces: list[tuple[int, Columns]], key: str) -> Columns:
    merged = {n: np.concatenate([p[n] for _, p in pieces]) for n in pieces[0][1]}
    merged["symbol"] = np.concatenate([np.full(len(p[key]), i, np.int32) for i, p in pieces])
    order = np.argsort(merged[key], kind="stable")
    return {n: v[order] for n, v in merged.items()}


def rechunk(chunks: Iterable[Columns], rows: int = ROWS, small: int = SMALL) -> Iterator[Columns]:
    """Join chunks below ``small`` rows, cut those above ``rows``; columns come out contiguous."""
    held: list[Columns] = []
    count = 0
    for chunk in chunks:
        size = len(next(iter(chunk.values())))
        if held and count + size > rows:
            yield _joined(held)
            held, count = [], 0
        if size >= small:
            if held:
                yield _joined(held)
                held, count = [], 0
            for start in range(0, size, rows):
                yield {n: np.ascontiguousarray(v[start : start + rows]) for n, v in chunk.items()}
        elif size:
            held.append(chunk)
            count += size
    if held:
        yield _joined(held)


def _joined(chunks: list[Columns]) -> Columns:
    return {n: np.concatenate([c[n] for c in chunks]) for n in chunks[0]}


class ContentDigest:
    """sha256 of the rows, column by column, so it does not depend on how the rows are cut into chunks.

    Each column is hashed as little-endian values (times int64, symbols int32, the rest float64), then the
    columns' hashes in the order of their names, after a header that names the symbols.
    """

    def __init__(self, header: str) -> None:
        self._header = header
        self._columns: dict[str, Any] = {}

    def update(self, chunk: Columns) -> None:
        """Add rows."""
        for name, values in chunk.items():
            if name not in self._columns:
                self._columns[name] = hashlib.sha256(values.dtype.newbyteorder("<").str.encode())
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            self._columns[name].update(np.ascontiguousarray(little).data.cast("B"))

    def hexdigest(self) -> str:
        """The digest of everything added so far."""
        lines = [self._header, *(f"{n} {h.hexdigest()}" for n, h in sorted(self._columns.items()))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digested(chunks: Iterable[Columns], digest: ContentDigest, done: Callable[[], None]) -> Iterator[Columns]:
    """Pass chunks on while another thread hashes them (hashing releases the interpreter lock)."""
    with ThreadPoolExecutor(1, "sigma-digest") as pool:
        pending: Future[None] | None = None
        for chunk in chunks:
            if pending is not None:
                pending.result()
            pending = pool.submit(digest.update, chunk)
            yield chunk
        if pending is not None:
            pending.result()
    done()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetch(chunks: Iterator[Columns], depth: int = 1) -> Iterator[Columns]:
    """Chunks read by one thread ahead of the consumer, at most ``depth`` waiting.

    What the reader raises, the consumer gets. Closing the generator (or leaving its loop) ends the thread.
    """
    box: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                box.put(item, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        last: Any = _END
        try:
            for chunk in chunks:
                if not put(chunk):
                    break
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, whatever it is
            last = _Failure(error)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        put(last)

    thread = threading.Thread(target=work, name="sigma-prefetch", daemon=True)
    thread.start()
    try:
        while (item := box.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()
