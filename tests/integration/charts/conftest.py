"""A PostgreSQL with the roles that the chart gives it, and the tables that its migration makes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).resolve().parents[2]
ROOT = TESTS.parent
ROLES = ("owner", "granter", "control", "backtest", "reader")


def chart() -> dict[str, Any]:
    """The objects of the chart by kind."""
    from tests.cluster.onenode.tools import clients

    command = [clients() / "helm", "template", "x", ROOT / "charts" / "postgres"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # type: ignore[arg-type]
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout) if found}


class Installed:
    """The server as the chart leaves it. `urls` has an address for each role with a password."""

    def __init__(self, server: Any, folder: Path) -> None:
        objects = chart()
        words = objects["Secret"]["stringData"]
        for role in ROLES:
            (folder / role).write_text(words[role])
        self.server = server
        self.script = folder / "roles.sql"
        text = objects["ConfigMap"]["data"]["roles.sql"]
        self.script.write_text(text.replace("/etc/sigma-passwords", str(folder)))
        host = f"127.0.0.1:{server.port}/sigma"
        self.urls = {role: f"postgresql://sigma_{role}:{words[role]}@{host}" for role in ROLES}

    def start(self) -> None:
        """What the chart does at every start of the server."""
        subprocess.run(["psql", "-Xq", self.server.url, "-f", self.script], check=True, capture_output=True)

    def migrate(self) -> None:
        """What the chart does after every installation and upgrade."""
        environment = {
            **os.environ, "SIGMA_DATABASE_URL": self.urls["owner"], "PYTHONPATH": str(ROOT / "bot")
        }  # fmt: skip
        subprocess.run([sys.executable, "-m", "sigma_bot.container.migrate"], env=environment, check=True)

    def remove(self) -> None:
        """The database and every role."""
        self.server.execute("DROP DATABASE sigma WITH (FORCE)")
        # Accounts first: the granter can't go before the memberships that it gave.
        self.server.execute(
            "DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'sigma\\_%'"
            " ORDER BY rolname NOT LIKE 'sigma\\_account\\_%' LOOP EXECUTE format('DROP ROLE %I', r);"
            " END LOOP; END $$"
        )


@pytest.fixture(scope="module")
def installed(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A server that ran the chart's file twice, as over a restart, and was migrated twice."""
    found = Installed(postgres_server, tmp_path_factory.mktemp("passwords"))
    for step in (found.start, found.migrate, found.start, found.migrate):
        step()
    yield found
    found.remove()


@pytest.fixture
def over(postgres_server: Any, tmp_path: Path) -> Iterator[Installed]:
    """This version's chart, to put over what a test has made; everything goes with it."""
    found = Installed(postgres_server, tmp_path)
    yield found
    found.remove()
