"""docs/architecture.md tells what the code does: its layers are the contract, its walks can be followed."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
LINE = re.compile(r"^( *)- `([\w/]+\.py)` `(\w+)`", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def walks() -> list[tuple[str, str, str, list[str]]]:
    """Each line with what it calls: file, function, and the functions one level below, in order."""
    lines = [(len(m[1]) // 2, m[2], m[3]) for m in LINE.finditer(PAGE)]
    found = []
    for place, (depth, file, name) in enumerate(lines):
        below = []
        for other, _, called in lines[place + 1 :]:
            if other <= depth:
                break
            if other == depth + 1:
                below.append(called)
        found.append((f"{file}:{name}", file, name, below))
    return found


@cache
def functions(file: str) -> dict[str, list[Function]]:
    """Functions and classes of a file by name; several classes may have a method of one name."""
    found: dict[str, list[Function]] = {}
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, Function):
            found.setdefault(node.name, []).append(node)
    return found


def mentions(function: Function, name: str) -> tuple[int, int] | None:
    """Where a function first names another; what it holds as ``_name`` counts."""
    spots = [
        (node.lineno, node.col_offset)
        for node in ast.walk(function)
        if (isinstance(node, ast.Name) and node.id in (name, f"_{name}"))
        or (isinstance(node, ast.Attribute) and node.attr in (name, f"_{name}"))
    ]
    return min(spots, default=None)


@pytest.mark.parametrize(
    ("file", "name", "calls"), [walk[1:] for walk in walks()], ids=[w[0] for w in walks()]
)
def test_a_step_calls_what_stands_below_it_in_that_order(file: str, name: str, calls: list[str]) -> None:
    there = functions(file).get(name, [])
    assert there, f"{file} has no {name}"
    if not calls:
        return
    orders = [[mentions(function, called) for called in calls] for function in there]
    assert any(None not in spots and spots == sorted(spots) for spots in orders), (calls, orders)  # type: ignore[type-var]


def test_there_is_a_walk_of_each_kind() -> None:
    assert [
        title
        for title in ("One tick", "One order", "One Backtest", "One Strategy")
        if f"## {title}" not in PAGE
    ] == []
    assert len(walks()) > 60


@pytest.mark.parametrize("place", [0, 1], ids=["bot", "operator"])
def test_the_layers_are_the_contracts(place: int) -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][
        place
    ]
    block = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[place]
    assert [re.split(r" {2,}", line)[0] for line in block.strip().splitlines()] == contract["layers"]
