"""Private PostgreSQL and Redis servers for tests: the real ones of Debian, gone when the test run ends.

Each lives in its own folder under the system's temporary directory, listens on a free port of 127.0.0.1, and
is tied to this process: should the test run be killed, the kernel ends the server with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 60.0
"""Seconds for a server to answer; a loaded machine may need several."""
INSTALL = "apt-get install -y --no-install-recommends postgresql redis-server"


class ServerMissing(Exception):
    """The server's program is not installed. The message says how to install it."""


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL. ``url`` holds the password of its only user, a superuser."""

    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """Address of the database that always exists."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """Address of a database of this server."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{name}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements one by one, each by itself (CREATE DATABASE refuses a transaction)."""
        import asyncpg

        async def run() -> None:
            connection = await asyncpg.connect(self.database_url(database))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def create_database(self, migrated: bool = False) -> str:
        """A new database, empty or with this version's tables; returns its address."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}{f' TEMPLATE {self.template()}' if migrated else ''}")
        return self.database_url(name)

    def template(self) -> str:
        """The database with this version's tables that others are copied from."""
        if self.port not in _templates:
            self.execute("CREATE DATABASE sigma_template")
            migrate(self.database_url("sigma_template"))
            _templates.add(self.port)
        return "sigma_template"


_templates: set[int] = set()
"""Ports of the servers that have their template."""


def migrate(url: str) -> None:
    """Bring a database to this version, as the product does, by a process of its own."""
    command = [sys.executable, "-m", "sigma_bot.schema", "60"]
    subprocess.run(command, env={**os.environ, "SIGMA_DATABASE_URL": url}, check=True)


def migrated_sqlite(path: Path) -> str:
    """A SQLite file with this version's tables at ``path``; returns its address. Migrating takes a second,
    copying none: one file for each state of the migrations is made once a machine."""
    migrations = sorted((ROOT / "bot" / "sigma_bot" / "schema" / "migrations").rglob("*.py"))
    key = hashlib.sha256(b"".join(file.read_bytes() for file in migrations)).hexdigest()[:16]
    template = Path(tempfile.gettempdir()) / f"sigma-template-{os.getuid()}-{key}.db"
    if not template.exists():
        fresh = template.with_suffix(f".{os.getpid()}")
        migrate(f"sqlite:///{fresh}")
        fresh.replace(template)  # whoever comes second replaces it by the same
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL server and stop it at the end. fsync stays on, as in life; memory stays small."""
    programs = _postgres_programs()
    with _folder("sigma-postgres-") as folder:
        password = secrets.token_hex(8)
        secret, data = folder / "password", folder / "data"
        secret.write_text(password)
        _give(secret)
        _run_as_user(
            *[programs / "initdb", "-D", data, "--no-sync"],  # type: ignore[arg-type]
            *["-U", "sigma", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C"],  # type: ignore[arg-type]
        )

        def command(port: int) -> list[str | Path]:
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": folder,
                "shared_buffers": "16MB",
                "max_connections": 300,
                "max_wal_size": "256MB",
            }
            options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
            return [programs / "postgres", "-D", data, *options]

        with _served(command, folder, _postgres_answers) as port:
            yield Postgres(port, "sigma", password)


@contextmanager
def redis() -> Iterator[str]:
    """Start a Redis server that keeps nothing on disk; gives its address and stops it at the end."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServerMissing(f"redis-server is not installed: {INSTALL}")
    with _folder("sigma-redis-") as folder:

        def command(port: int) -> list[str | Path]:
            return [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]

        with _served(command, folder, _redis_answers) as port:
            yield f"redis://127.0.0.1:{port}/0"


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    if program is None:
        raise ServerMissing(f"postgresql is not installed: {INSTALL}")
    return Path(program).resolve().parent


@contextmanager
def _served(
    command: Callable[[int], Sequence[str | Path]], folder: Path, answers: Callable[[int], bool]
) -> Iterator[int]:
    """Run a server until the end of the block. Should another process take the port first, try the next."""
    for _ in range(5):
        port = _free_port()
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                _as_user(command(port)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is ours to handle, not the server's
            )
        try:
            if _wait_until_it_answers(server, port, answers):
                yield port
                return
        finally:
            _stop(server)
    raise RuntimeError(f"the server did not start:\n{(folder / 'log').read_text()[-2000:]}")


def _wait_until_it_answers(
    server: subprocess.Popen[bytes], port: int, answers: Callable[[int], bool]
) -> bool:
    """Ask until it answers; False when the server ended instead."""
    end = time.monotonic() + DEADLINE
    while server.poll() is None:
        if answers(port):
            return True
        if time.monotonic() > end:
            return False
        # A server that does not listen yet refuses at once: ask again soon, sooner should it have ended.
        try:
            server.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
    return False


def _postgres_answers(port: int) -> bool:
    """Whether it asks for a password, which it does only once it has started up."""
    user = b"user\x00sigma\x00database\x00postgres\x00\x00"
    startup = (len(user) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + user
    return _ask(port, startup)[:1] == b"R"


def _redis_answers(port: int) -> bool:
    return _ask(port, b"PING\r\n").startswith(b"+PONG")


def _ask(port: int, question: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as talk:
            talk.sendall(question)
            return talk.recv(64)
    except OSError:
        return b""


def _stop(server: subprocess.Popen[bytes]) -> None:
    """SIGINT is PostgreSQL's fast shutdown (clients are cut off) and Redis's ordinary one."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


_given: set[int] = set()
"""Ports that this process has given to somebody."""


def _free_port() -> int:
    """A port that nobody listens on. Not one of those that the kernel gives to connections (from 32768 on):
    it could be in use when the server starts, or comes back after it was killed."""
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def server_user() -> pwd.struct_passwd | None:
    """Whom the servers run as: PostgreSQL refuses root, so its own user or nobody; None = as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerMissing("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _as_user(command: Sequence[str | Path]) -> list[str]:
    """The command as the unprivileged user, ended by the kernel when this process ends."""
    user = server_user()
    change = [] if user is None else [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", "--pdeathsig", "INT", *change, "--", *map(str, command)]


def _run_as_user(*command: str | Path) -> None:
    done = subprocess.run(_as_user(command), capture_output=True, text=True, cwd="/", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A folder that the servers' user owns; pytest's own are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    _give(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(path: Path) -> None:
    user = server_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
