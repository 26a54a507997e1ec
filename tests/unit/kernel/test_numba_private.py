"""What the kernel takes of Numba's inside is there, and one file alone takes it."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from sigma_bot.kernel import numba_private
from tests.support import ROOT

KERNEL = ROOT / "bot" / "sigma_bot" / "kernel"
TREE = ast.parse(Path(numba_private.__file__).read_text())
TAKEN = [
    (str(node.module), name.name)
    for node in TREE.body
    if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    for name in node.names
]


@pytest.mark.parametrize(("module", "name"), TAKEN)
def test_numba_still_has_it(module: str, name: str) -> None:
    there = import_module(module)
    assert hasattr(there, name) or import_module(f"{module}.{name}"), f"{module} has no {name} any more"


def test_what_is_called_is_called_as_before() -> None:
    builder = numba_private.DefaultPassBuilder
    assert {"define_nopython_pipeline", "define_untyped_pipeline"} <= set(dir(builder))
    assert list(inspect.signature(numba_private.register_pass).parameters)[:2] == [
        "mutates_CFG",
        "analysis_only",
    ]
    assert {"get_function", "add_linking_library", "finalize"} <= set(dir(numba_private.CPUCodeLibrary))


def test_one_file_knows_them() -> None:
    private = re.compile(r"^\s*(?:from|import) numba\.(?!extending)", re.MULTILINE)
    users = [path.name for path in (ROOT / "bot").rglob("*.py") if private.search(path.read_text())]
    assert users == ["numba_private.py"]
