"""Run holding.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import ROOT


@contextmanager
def holding(url: str, what: str, bot: str, holder: str, *rest: str) -> Iterator[subprocess.Popen[str]]:
    """The process, ready to begin; ended at the end of the block if it still runs."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "tests.integration.journal.holding", url, what, bot, holder, *rest]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        try:
            hear(process, "ready")
            yield process
        finally:
            process.kill()


def begin(process: subprocess.Popen[str]) -> None:
    """Let it begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise AssertionError(f"it ended: {process.communicate(timeout=60)[1]}")
    return line


def hear(process: subprocess.Popen[str], word: str) -> None:
    """Read until it says ``word``."""
    while told(process) != word:
        pass
