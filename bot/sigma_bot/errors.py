"""Errors a user meets. Each carries the exit code its command ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SigmaError(Exception):
    """Base of every error that is reported to the user without a traceback of ours."""

    exit_code = 1


class BadInputError(SigmaError):
    """Something the user wrote is wrong. The message names the place, the value and what would be right."""

    exit_code = 2


class StrategyError(SigmaError):
    """The strategy's own code raised. The message holds the user's file, line and the time in the market."""

    exit_code = 3


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` when a known name is close to ``name``, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
