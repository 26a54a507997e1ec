"""The documentation builds strictly, and its pages ask nobody outside for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT


def test_the_site_builds_strictly_and_stands_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "ko/index.html", "api/strategy.html"} <= {
        str(p.relative_to(tmp_path)) for p in pages
    }
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(https?:)?//')
    assert [page.name for page in pages if loaded.search(page.read_text("utf-8"))] == []
    assert "on_fill" in (tmp_path / "api" / "strategy.html").read_text("utf-8")
