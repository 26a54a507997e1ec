"""The documentation builds strictly, loads nothing from outside, and shows all that may be imported."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sigma_bot
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import Bar, Event, Tick
from sigma_bot.kernel.struct import Struct
from sigma_bot.results.result import BacktestResult
from tests.support import ROOT
from tests.unit.docs.pages import name_of, rows_of, text_of

# What `from sigma_bot import *` would bring, and no strategy needs.
INTERNAL = {"check_windows"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; not ``--quiet``, which does not count the warnings it hides."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_loads_nothing_from_outside(site: Path) -> None:
    pages = {str(page.relative_to(site)): page.read_text("utf-8") for page in site.rglob("*.html")}
    sources = {str(page.relative_to(ROOT / "docs"))[:-3] for page in (ROOT / "docs").rglob("*.md")}
    wanted = {re.sub(r"README$", "index", source) + ".html" for source in sources}
    wanted |= {"contributing.html", "changelog.html", "security.html", "charts/sigma-x.html"}
    assert wanted <= set(pages)
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(https?:)?//')
    assert [name for name, text in pages.items() if loaded.search(text)] == []


def test_the_search_needs_no_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text("utf-8").removeprefix("var __index = ")
    assert any("전략" in page["text"] for page in json.loads(index)["docs"])
    assert 'src="theme/iframe-worker.js"' in (site / "index.html").read_text("utf-8")


def test_what_a_strategy_may_import_is_documented(site: Path) -> None:
    shown = "".join((site / "api" / f"{page}.html").read_text("utf-8") for page in ("strategy", "indicators"))
    names = set(dir(sigma_bot)) - INTERNAL
    assert len(names) > 40
    assert [n for n in names if f'id="sigma_bot.{n}"' not in shown and f"<code>{n}</code>" not in shown] == []
    assert 'id="sigma_bot.Strategy.on_fill"' in shown
    assert 'id="sigma_bot.Donchian.update_bar"' in shown


@pytest.mark.parametrize(
    ("page", "heading", "struct", "whole"),
    [
        ("docs/api/records.md", "## Tick", Tick, True),
        ("docs/api/records.md", "## Bar", Bar, True),
        ("docs/api/records.md", "## Fill", Event, False),
        ("docs/api/broker.md", "## Fields", Broker, False),
    ],
)
def test_a_record_has_the_fields_that_the_page_lists(
    page: str, heading: str, struct: type[Struct], whole: bool
) -> None:
    listed = {name: cells[0].strip(" `") for name, cells in rows_of(page, heading).items() if name.islower()}
    listed.pop("field")
    fields = {name: kind.__name__ for name, kind in struct.__fields__.items() if isinstance(kind, type)}
    assert listed.items() <= fields.items()
    assert not whole or listed == fields


def test_every_field_of_a_result_is_listed() -> None:
    text = text_of("docs/api/backtest.md")
    assert [f.name for f in dataclasses.fields(BacktestResult) if f"`{f.name}`" not in text] == []


def test_every_decision_says_what_a_decision_says_and_is_listed() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    index, nav = text_of("docs/decisions/README.md"), (ROOT / "mkdocs.yml").read_text("utf-8")
    for number, path in enumerate(records, 1):
        text = path.read_text("utf-8")
        [title] = re.findall(rf"^# {number}\. (.+)$", text, re.MULTILINE)
        assert f"| {number} | [{title}]({path.name}) |" in index
        assert f"decisions/{path.name}" in nav
        parts = re.findall(r"^(?:## (\w+)|(Status): \w)", text, re.MULTILINE)
        assert ["".join(part) for part in parts] == ["Status", "Context", "Decision", "Consequences"], (
            name_of(path)
        )
