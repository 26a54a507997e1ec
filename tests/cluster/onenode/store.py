"""Images as containerd keeps them, unpacked once and then given to every node that starts.

To unpack the project's images takes most of a minute of processor time, and every test run starts several
nodes. A store holds one set of images, is named after their content, and is copied by hard links, since
layers never change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.onenode.tools import CACHE, SetupError, cached, content_key, locked, say

STORES = CACHE / "stores"
KEPT_STORES = 3
START_S = 30
DATABASE = ".db"


def import_archive(socket: Path, archive: Path) -> None:
    """Bring an image archive into the containerd that listens there."""
    done = ctr(socket, "images", "import", str(archive))
    if done.returncode:
        raise SetupError(f"{archive}: {done.stderr}")


def ctr(socket: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run containerd's client in the namespace that Kubernetes uses."""
    command = ["ctr", "--address", str(socket), "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def containerd(root: Path) -> Iterator[Path]:
    """A containerd on this root, without Kubernetes; its socket."""
    with tempfile.TemporaryDirectory(prefix="sigma-x-") as scratch:
        socket, config, log = (Path(scratch) / name for name in ("socket", "config.toml", "log"))
        lines = (
            "version = 2",
            f'root = "{root}"',
            f'state = "{scratch}/state"',
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
            f'[grpc]\n  address = "{socket}"\n',
        )
        config.write_text("\n".join(lines))
        with log.open("wb") as output:
            process = subprocess.Popen(["containerd", "--config", str(config)], stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + START_S
            while ctr(socket, "version").returncode:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SetupError(f"containerd does not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield socket
        finally:
            process.terminate()
            process.wait()


def store(archives: Sequence[Path]) -> Path:
    """The root of a containerd that holds these images, from the cache where it is there."""

    def build(fresh: Path) -> None:
        say(f"unpacking {len(archives)} images")
        began = time.monotonic()
        with containerd(fresh) as socket:
            for archive in archives:
                import_archive(socket, archive)
        say(f"unpacked {len(archives)} images in {time.monotonic() - began:.0f} s")

    return cached(STORES / f"images-{content_key(*(archive.name for archive in archives))}", build)


def give(archives: Sequence[Path], root: Path) -> None:
    """Let a containerd that does not run yet find these images under its root."""
    with locked("stores"):
        source = store(archives)
        source.touch()
        # Layers are only ever read. Databases are written to.
        subprocess.run(["cp", "--archive", "--link", str(source), str(root)], check=True)
        for file in _own_files(root):
            _break_link(file)
        newest = sorted(STORES.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for stale in newest[KEPT_STORES:]:
            shutil.rmtree(stale)


def _own_files(root: Path) -> Iterator[Path]:
    """What the node must have for itself: databases; programs and libraries too, since the pages of a file
    are counted as shared by all who use it, on whichever node."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file():
                continue
            if name.endswith(DATABASE) or ".so" in name or os.access(path, os.X_OK):
                yield path


def _break_link(file: Path) -> None:
    """Put a copy in the place of a hard link."""
    fresh = file.with_name(f".{file.name}.own")
    shutil.copy2(file, fresh)
    status = file.stat()
    os.chown(fresh, status.st_uid, status.st_gid)
    os.chmod(fresh, status.st_mode)  # changing the owner takes set-uid away
    fresh.replace(file)
