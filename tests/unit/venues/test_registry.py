"""A venue is one folder and one line: without them nothing of it is left, and with them it is back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.venues.registry import NAMES, VENUES, public_protocol, venue_of

PACKAGE = Path(__file__).resolve().parents[3] / "bot" / "sigma_bot"
CHOICES = """
from typing import get_args
from click.testing import CliRunner
from sigma_bot.cli.feed import feed
from sigma_bot.errors import BadInputError
from sigma_bot.spec import Backtest, blocks
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.registry import VENUES, public_protocol

assert set(get_args(blocks.VenueName)) == set(VENUES)
for name in VENUES:
    assert public_protocol(name).venue == name
    LocalLimiter(name)
    assert name in CliRunner().invoke(feed, ["--help"]).output
try:
    LocalLimiter("bithumb")
except BadInputError as error:
    print("none:", error)
else:
    print("there")
"""


def said_by(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHOICES],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_venue_is_removed_and_restored_by_its_folder_and_its_line(tmp_path: Path) -> None:
    copy = tmp_path / "sigma_bot"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    registry, line = copy / "venues" / "registry.py", '    "bithumb",\n'
    whole = registry.read_text()
    assert whole.count(line) == 1

    shutil.move(copy / "venues" / "bithumb", tmp_path / "bithumb")
    registry.write_text(whole.replace(line, ""))
    assert said_by(tmp_path) == "none: venue 'bithumb' is not known; known: binance, upbit"

    shutil.move(tmp_path / "bithumb", copy / "venues" / "bithumb")
    registry.write_text(whole)
    assert said_by(tmp_path) == "there"


def test_nobody_imports_a_venue_but_the_registry() -> None:
    imported = re.compile(rf"^\s*(?:from|import) sigma_bot\.venues\.(?:{'|'.join(NAMES)})\b", re.MULTILINE)
    folders = [PACKAGE / "venues" / name for name in NAMES]
    others = [f for f in PACKAGE.rglob("*.py") if not any(f.is_relative_to(folder) for folder in folders)]
    assert [str(f) for f in others if imported.search(f.read_text())] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_venue_is_called_alike_everywhere(name: str) -> None:
    venue = VENUES[name]
    assert (venue.name, venue.capabilities.venue, public_protocol(name).venue) == (name, name, name)


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(BadInputError, match="did you mean 'bithumb'"):
        venue_of("bitthumb")
