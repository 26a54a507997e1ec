"""The log in files: torn tails, damage, old segments, full disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sigma_bot.bus import BusError, segment_log
from sigma_bot.bus.segment_log import SegmentLog, encode_frame, segments


def filled(folder: Path, upto: int, kept: int = 1000) -> SegmentLog:
    log = SegmentLog(folder, kept)
    for seq in range(log.last + 1 if log.last > 0 else 1, upto + 1):
        log.append(seq, b"payload %d" % seq)
    return log


def numbers(log: SegmentLog, after: int = -1) -> list[int]:
    return [seq for seq, _ in log.read(after, 1_000_000)]


def test_entries_come_back_after_reopening(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    log = filled(tmp_path, 9)
    assert log.read(3, 2) == [(4, b"payload 4"), (5, b"payload 5")]
    assert numbers(log) == list(range(1, 10))
    assert log.last == 9


@pytest.mark.parametrize("cut", range(1, len(encode_frame(5, b"payload 5")) + 1))
def test_a_tail_torn_anywhere_is_cut(tmp_path: Path, cut: int) -> None:
    filled(tmp_path, 5).close()
    [(_, path)] = segments(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    log = SegmentLog(tmp_path, 1000)
    assert log.last == 4
    log.append(5, b"again")
    assert numbers(log) == [1, 2, 3, 4, 5]
    assert log.read(4, 10) == [(5, b"again")]


def test_a_damaged_byte_ends_the_segment_there(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    [(_, path)] = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"payload 4")] ^= 1
    path.write_bytes(data)
    log = SegmentLog(tmp_path, 1000)
    assert log.last == 3


def test_a_segment_torn_at_its_first_entry_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    (tmp_path / f"{4:020d}.log").write_bytes(encode_frame(4, b"payload 4")[:-1])
    log = SegmentLog(tmp_path, 1000)
    assert log.last == 3
    log.append(4, b"x")
    assert numbers(log) == [1, 2, 3, 4]


def test_old_segments_are_dropped_and_the_kept_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_log, "SEGMENT", 200)
    log = filled(tmp_path, 400, kept=50)
    found = numbers(log)
    assert found == list(range(found[0], 401))
    assert 50 <= len(found) < 70
    assert numbers(log, after=395) == [396, 397, 398, 399, 400]
    log.close()
    assert SegmentLog(tmp_path, 50).last == 400


def test_a_full_disk_is_told_and_leaves_no_half_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = filled(tmp_path, 2)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    with pytest.raises(BusError, match="the disk is full; free some space"):
        log.append(3, b"payload 3")
    monkeypatch.undo()
    assert log.last == 2
    log.append(3, b"payload 3")
    assert numbers(log) == [1, 2, 3]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BusError, match="the log cannot be written"):
        SegmentLog(tmp_path / "file" / "log", 10)
