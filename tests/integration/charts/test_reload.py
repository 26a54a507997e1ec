"""The development image's supervisor, as a process: it starts a program again when its code changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path
from sigma_bot.container import reload
sys.exit(reload.main([sys.executable, "-u", "-c", "import room"], Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "room.py").write_text("print('first')\nimport time\ntime.sleep(600)\n")
    return tmp_path / "copy"


@pytest.fixture
def supervisor(copy: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-c", RUN, str(copy.parent / "source"), str(copy)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process
    process.terminate()
    process.wait(30)


def test_an_edit_starts_it_again_and_an_error_waits_for_the_next(
    supervisor: subprocess.Popen[str], copy: Path
) -> None:
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "first\n"
    (copy / "room.py").write_text("print('broken')\nraise SystemExit(3)\n")
    assert "starting again" in supervisor.stdout.readline()
    assert supervisor.stdout.readline() == "broken\n"
    (copy / "room.py").write_text("print('mended')\n")
    assert "starting again" in supervisor.stdout.readline()
    assert supervisor.stdout.readline() == "mended\n"
    assert supervisor.wait(30) == 0, "a program that ends well is done"
