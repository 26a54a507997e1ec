"""Compiled code on disk, found by the digest of what it was made from, so that an entry is never stale.

One file per entry: a line naming the checksum, a line of JSON, the object code. Written under another name
and moved into place, so a reader sees a whole entry or none, however many processes write it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

KEEP = 400  # entries; the ones not used for longest go first
SUFFIX = ".sxo"

log = logging.getLogger("sigma.kernel")


@dataclass(frozen=True)
class Entry:
    """Object code, the symbols it offers and the symbols it needs."""

    exports: list[str]
    imports: list[str]
    code: bytes


class Cache:
    """A folder of entries. ``problem`` says why it cannot be written; compilation works without it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem = ""

    def read(self, digest: str) -> Entry | None:
        """The entry, or None when it is absent or damaged."""
        path = self.folder / (digest + SUFFIX)
        try:
            checksum, _, body = path.read_bytes().partition(b"\n")
            with contextlib.suppress(OSError):
                os.utime(path)
        except OSError:
            return None
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            return None
        header, _, code = body.partition(b"\n")
        return Entry(**json.loads(header), code=code)

    def write(self, digest: str, entry: Entry) -> None:
        """Keep an entry. A folder that cannot be written is reported once and then left alone."""
        facts = {k: v for k, v in asdict(entry).items() if k != "code"}
        body = json.dumps(facts).encode() + b"\n" + entry.code
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as file:
                try:
                    file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
                    file.close()
                    Path(file.name).replace(self.folder / (digest + SUFFIX))
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._prune()
        except OSError as error:
            if not self.problem:
                self.problem = (
                    f"compiled code cannot be kept in {self.folder}: {error.strerror}; every run compiles"
                )
                log.warning(self.problem)

    def _prune(self) -> None:
        entries = list(self.folder.glob("*" + SUFFIX))
        if len(entries) <= KEEP:
            return
        ages = []
        for path in entries:
            with contextlib.suppress(FileNotFoundError):  # another process pruned it
                ages.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(ages)[: len(ages) - KEEP]:
            path.unlink(missing_ok=True)


@lru_cache(maxsize=8)
def _cache(folder: str) -> Cache:
    return Cache(Path(folder))


def default_cache() -> Cache:
    """The cache of this user: ``SIGMA_CACHE``, or ``~/.cache/sigma-x``."""
    return _cache(os.environ.get("SIGMA_CACHE") or str(Path.home() / ".cache" / "sigma-x"))
