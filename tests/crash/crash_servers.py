"""A PostgreSQL and a Redis that can be killed and brought back at the same port, with what is on disk.

A bot's death loses nothing that the kernel has, so nothing here waits for a disk: no fsync, and folders in
memory where the machine has one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import servers

DEADLINE_S = 60.0
MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that the servers' user owns."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=where) as path:
        servers._give(Path(path))
        yield Path(path)


@dataclass
class Mortal:
    """A server of its own. ``kill`` is SIGKILL, ``start`` waits until it answers."""

    url: str
    port: int
    command: Sequence[str | Path]
    folder: Path
    answers: Callable[[int], bool]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it, again if it must: a killed PostgreSQL leaves children that end a little later."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    servers._as_user(self.command), stdout=log, stderr=log, cwd=self.folder
                )
            while self.process.poll() is None:
                if self.answers(self.port):
                    return
                time.sleep(0.02)
        raise RuntimeError(f"it did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """As a power cut."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """The ordinary end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=20)


@contextlib.contextmanager
def mortal_postgres() -> Iterator[Mortal]:
    """A PostgreSQL with the database ``postgres``. Raises servers.ServerMissing."""
    programs = servers._postgres_programs()
    with folder("sigma-postgres-") as where:
        password, data, port = where / "password", where / "data", servers._free_port()
        password.write_text("secret")
        servers._give(password)
        servers._run_as_user(
            *[programs / "initdb", "-D", data, "--no-sync", "-U", "sigma", "-A", "scram-sha-256"],  # type: ignore[arg-type]
            *["--pwfile", password, "-E", "UTF8", "--locale=C"],  # type: ignore[arg-type]
        )
        command = [programs / "postgres", "-D", data, "-p", str(port), "-k", where, "-h", "127.0.0.1"]
        command += ["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60"]
        url = f"postgresql://sigma:secret@127.0.0.1:{port}/postgres"
        server = Mortal(url, port, command, where, servers._postgres_answers)  # type: ignore[arg-type]
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def mortal_redis() -> Iterator[Mortal]:
    """A Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        raise servers.ServerMissing(f"redis-server is not installed: {servers.INSTALL}")
    with folder("sigma-redis-") as where:
        port = servers._free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", where, "--save", ""]
        server = Mortal(f"redis://127.0.0.1:{port}/0", port, command, where, servers._redis_answers)  # type: ignore[arg-type]
        server.start()
        try:
            yield server
        finally:
            server.stop()
