"""The version stands in one place; what can't read it from there is written by one command."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from sigma_bot import __version__
from sigma_bot.version import VERSION

ROOT = Path(__file__).parents[3]
LOCKS = (".lock", "go.sum", "go.mod", "metadata.json", ".png")


def tool(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("version_tool", root / "charts" / "version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_charts_say_what_the_package_says() -> None:
    assert __version__ == VERSION
    for chart in tool(ROOT).files():
        text = chart.read_text()
        assert set(re.findall(r"^(?:app)?[vV]ersion: (\S+)", text, re.MULTILINE)) == {VERSION}, chart
        assert set(re.findall(r"name: \w+, version: ([^,]+)", text)) <= {VERSION}, chart


def test_nobody_else_states_it() -> None:
    """Only files that git knows are looked at."""
    command = [
        "git",
        "grep",
        "-lF",
        VERSION,
        "--",
        ".",
        ":!charts/*/Chart.yaml",
        ":!bot/sigma_bot/version.py",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    stating = [f for f in found if not f.endswith(LOCKS)]
    near = re.compile(rf"(?:sigma-x/\S*:|version\W{{1,6}}){re.escape(VERSION)}")
    assert [f for f in stating if near.search((ROOT / f).read_text())] == []


def test_another_version_is_written_everywhere(tmp_path: Path) -> None:
    for path in ("charts", "bot/sigma_bot/version.py"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, target)
    there = tool(tmp_path)
    there.write("9.8.7-rc.1")
    assert there.stated() == "9.8.7-rc.1"
    texts = [chart.read_text() for chart in there.files()]
    assert all("9.8.7-rc.1" in text and f": {VERSION}" not in text for text in texts)
    with pytest.raises(SystemExit, match=r"must be like 1\.2\.3"):
        there.write("v1")
