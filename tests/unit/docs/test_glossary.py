"""The glossary names what the code has: every place in it exists, and no name that was given up is left."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "glossary.md").read_text())[1:]
FORMER = [
    "Desk",
    "SimDesk",
    "LiveDesk",
    "Core",
    "LiveBook",
    "Told",
    "Outcome",
    "Adopt",
    "Tock",
    "Works",
    "Unsent",
    "Pulse",
    "Face",
    "Sink",
    "Line",
    "Lines",
    "Patience",
    "Historian",
    "World",
    "Reached",
    "BinanceFace",
    "UpbitFace",
    "Closer",
    "Swapper",
    "Swap",
    "Writer",
    "BotWatch",
    "Direct",
    "Place",
    "Form",
    "Opened",
    "Fact",
    "Missing",
]
"""Classes of earlier versions, each with another name now."""
FORMER_MODULES = [
    "at_once",
    "writing",
    "reading",
    "spool",
    "parts",
    "lines",
    "line",
    "said",
    "cannot",
    "exact",
    "typed",
    "world",
    "reach",
    "emit",
    "face",
    "desk",
    "live",
    "closing",
    "swapping",
    "work",
    "patience",
    "storage",
]


def found(place: str) -> object:
    """What a dotted name stands for: a module, or something in one."""
    module, names = place, list[str]()
    while True:
        try:
            there: object = import_module(module)
            break
        except ModuleNotFoundError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
    for name in names:
        fields = getattr(there, "__dataclass_fields__", {})
        there = fields[name] if name in fields else getattr(there, name)
    return there


@pytest.mark.parametrize(
    ("term", "places"), [(term, places) for term, _, places in ROWS], ids=lambda x: str(x)[:40]
)
def test_a_term_lives_where_it_is_said_to(term: str, places: str) -> None:
    for place in re.findall(r"`([^`]+)`", places):
        assert found(place) is not None, term


def test_each_term_stands_once_and_in_order() -> None:
    terms = [term for term, _, _ in ROWS]
    assert len(terms) > 100
    assert terms == sorted(set(terms), key=str.lower)


def test_no_former_name_is_left() -> None:
    left = []
    for package in ("bot/sigma_bot", "operator/sigma_operator"):
        for path in (ROOT / package).rglob("*.py"):
            if path.stem in FORMER_MODULES:
                left.append(str(path))
            tree = ast.parse(path.read_text())
            left += [
                f"{path}: {n.name}"
                for n in ast.walk(tree)
                if isinstance(n, ast.ClassDef) and n.name in FORMER
            ]
    assert left == []
