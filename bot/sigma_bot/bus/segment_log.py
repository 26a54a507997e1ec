"""An append-only log in files: what was written survives the death of the process at any instant.

A folder holds segments, named by the sequence number of their first entry. An entry is a frame: length and
CRC-32 of the rest (uint32, little endian), sequence number (uint64), payload. A frame is written by one call
of the system, so SIGKILL leaves it whole or, should the disk be full, torn at the end of the newest segment:
there it is cut when the log is opened. Only a crash of the machine itself can lose the last seconds.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from sigma_bot.bus.errors import BusError

SEGMENT = 8 << 20
"""Bytes after which a new segment begins."""
ENDING = ".log"
_HEAD = struct.Struct("<IIQ")
_SEQ = struct.Struct("<Q")


def encode_frame(seq: int, payload: bytes) -> bytes:
    """An entry as it is written."""
    body = _SEQ.pack(seq) + payload
    return _HEAD.pack(len(body), zlib.crc32(body), seq) + payload


def read_frames(path: Path, after: int = -1) -> Iterator[tuple[int, bytes]]:
    """The whole entries of a segment with a higher ``seq``, up to the first torn or damaged one."""
    with path.open("rb") as file:
        for seq, payload, _ in _entries(file.read()):
            if seq > after:
                yield seq, payload


def valid_length(path: Path) -> int:
    """Bytes of a segment up to its first torn or damaged entry."""
    return max((end for _, _, end in _entries(path.read_bytes())), default=0)


def _entries(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(seq, payload, where it ends) of each whole entry."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, crc, seq = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size - _SEQ.size + length
        body_at = at + _HEAD.size - _SEQ.size
        if length < _SEQ.size or end > len(data) or zlib.crc32(data[body_at:end]) != crc:
            return
        yield seq, data[at + _HEAD.size : end], end
        at = end


def segments(folder: Path) -> list[tuple[int, Path]]:
    """(first sequence number, file) of a log's segments, oldest first."""
    found = (path for path in folder.glob(f"*{ENDING}") if path.stem.isdigit())
    return sorted((int(path.stem), path) for path in found)


class SegmentLog:
    """One log in a folder, written by one process. Raises BusError when it is in use or cannot be written."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder, self._kept = folder, kept
        self._file = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock_folder(folder)
            self._segments = segments(folder)
            self.last = self._recover()
        except OSError as error:
            raise _write_failed(folder, error) from error

    def _recover(self) -> int:
        """Cut a torn tail and go on in the newest segment; -1 for an empty log."""
        while self._segments:
            first, path = self._segments[-1]
            self._size = valid_length(path)
            if self._size:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                os.ftruncate(self._file, self._size)
                return max(seq for seq, _ in read_frames(path, first - 1))
            path.unlink()
            self._segments.pop()
        self._size = 0
        return -1

    def append(self, seq: int, payload: bytes) -> None:
        """Write an entry; ``seq`` must be higher than the last. A failed write leaves the log as it was."""
        frame = encode_frame(seq, payload)
        try:
            if self._file < 0 or self._size >= SEGMENT:
                self._begin(seq)
            written = os.write(self._file, frame)
            if written != len(frame):  # the disk is full: half an entry must not stay
                os.ftruncate(self._file, self._size)
                raise OSError(28, "the disk is full")
        except OSError as error:
            raise _write_failed(self._folder, error) from error
        self._size += len(frame)
        self.last = seq

    def _begin(self, seq: int) -> None:
        """Start a segment, and drop those that are old."""
        path = self._folder / f"{seq:020d}{ENDING}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.rotate()
        self._file, self._size = file, 0
        self._segments.append((seq, path))
        while len(self._segments) > 1 and self._segments[1][0] <= seq - self._kept:
            self.drop_segments(self._segments[0][0])

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to ``limit`` entries with a higher ``seq``, oldest first."""
        found: list[tuple[int, bytes]] = []
        for index, (_, path) in enumerate(self._segments):
            if index + 1 < len(self._segments) and self._segments[index + 1][0] <= after + 1:
                continue  # all of it is older
            for entry in read_frames(path, after):
                found.append(entry)
                if len(found) == limit:
                    return found
        return found

    def rotate(self) -> None:
        """Have the next entry begin a segment."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def closed_segments(self) -> list[tuple[int, Path]]:
        """(first sequence number, file) of the segments that are written no more, oldest first."""
        return self._segments if self._file < 0 else self._segments[:-1]

    def drop_segments(self, upto: int) -> None:
        """Drop the closed segments that begin at ``upto`` or before."""
        for segment in [one for one in self.closed_segments() if one[0] <= upto]:
            segment[1].unlink(missing_ok=True)
            self._segments.remove(segment)

    def close(self) -> None:
        """Give the files back."""
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1


def _lock_folder(folder: Path) -> int:
    """Hold the folder for this process alone; the kernel gives it back however the process ends."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise BusError(
            f"{folder}: another process writes this log; stop it, or name another folder"
        ) from None
    return file


def _write_failed(folder: Path, error: OSError) -> BusError:
    return BusError(
        f"{folder}: the log cannot be written: {error.strerror or error}; "
        "free some space or name a folder that can be written"
    )
