"""The documents of the repository, and what stands in them: blocks, prose, code in a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("charts/*/README.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text and where it begins, as ``docs/data.md:12``."""

    language: str
    text: str
    where: str


def name_of(path: Path) -> str:
    """A page as the repository knows it."""
    return str(path.relative_to(ROOT))


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = path.read_text("utf-8")
    return [
        Block(match[1], match[2], f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}")
        for match in FENCED.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def inline_code(path: Path) -> list[str]:
    """What stands between backticks outside of blocks."""
    return CODE.findall(FENCED.sub("", path.read_text("utf-8")))


def text_of(name: str) -> str:
    """A page by its name."""
    return (ROOT / name).read_text("utf-8")


def rows_of(name: str, heading: str) -> dict[str, list[str]]:
    """The table below a heading: its rows by the words in code of their first cell."""
    section = text_of(name).split(f"\n{heading}\n")[1].split("\n## ")[0]
    cells = [line[1:-1].split("|") for line in section.splitlines() if line.startswith("|")]
    return {word: row[1:] for row in cells for word in re.findall(r"`([^`]+)`", row[0]) or [row[0].strip()]}
