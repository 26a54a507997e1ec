"""Writes the table of values into each chart's README.md from the comments of its values.yaml:
`python charts/values_table.py`. A test holds the two together.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHARTS = Path(__file__).resolve().parent
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
KEY = re.compile(r"^( *)([A-Za-z_]\w*):(?: (.*))?$")


def rows(text: str) -> list[tuple[str, str, str]]:
    """Path, default and comment of every value that is written on a line of its own. A comment above a block
    goes to the first row in it that has none; one above a key to that key."""
    values: Any = yaml.safe_load(text)
    found: list[tuple[str, str, str]] = []
    path: list[str] = []
    said: list[str] = []
    for line in text.splitlines():
        match = KEY.match(line)
        if line.strip().startswith("#"):
            said.append(line.strip("# "))
        elif match is None:
            said = [] if not line else said
        else:
            path = [*path[: len(match[1]) // 2], match[2]]
            value = values
            for step in path:
                value = value[step]
            if match[3] is None and isinstance(value, dict):
                if said:
                    found.append((".".join(path), "", " ".join(said)))
            else:
                found.append((".".join(path), json.dumps(value), " ".join(said)))
            said = []
    return found


def table(text: str) -> str:
    lines = ["| value | default | what it does |", "|---|---|---|"]
    for path, default, said in rows(text):
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{path}` | {shown} | {said} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def written(chart: Path) -> str:
    """The chart's README with the table of its values."""
    readme = (chart / "README.md").read_text("utf-8")
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + table((chart / "values.yaml").read_text("utf-8")) + END + tail


if __name__ == "__main__":
    for found in sorted(CHARTS.glob("*/values.yaml")):
        (found.parent / "README.md").write_text(written(found.parent), "utf-8")
