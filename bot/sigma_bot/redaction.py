"""What must never be shown, taken out of texts: keys, tokens, signatures, passwords in addresses."""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote

HIDDEN = "***"
SHORT = 8
"""A secret of fewer characters is hidden only as a word of its own: it would blank out half of every text
else."""

# Signed requests end up in errors with their address: JSON web tokens, signatures, keys as parameters.
_PATTERNS = (
    re.compile(r"\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*"),
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?i)(?<=signature=)[^&\s\"']+"),
    re.compile(r"(?i)(?<=apikey=)[^&\s\"']+"),
    re.compile(r"(?i)(?<=access_key=)[^&\s\"']+"),
    re.compile(r'(?<="signature":")[^"]+'),
    re.compile(r'(?<="apiKey":")[^"]+'),
)


class _Secrets:
    """What must not get out, in every form that it could take on its way into a text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        """From now on `redact` hides these texts."""
        forms: set[str] = set()
        for value in filter(None, values):
            forms |= {value, quote(value, safe=""), quote(value), repr(value)[1:-1], json.dumps(value)[1:-1]}
        with self._lock:
            self._values |= forms
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_alternative, longest_first))) if longest_first else None

    def redact(self, text: str) -> str:
        """``text`` without any registered secret, token or signature."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        for pattern in _PATTERNS:
            text = pattern.sub(HIDDEN, text)
        return text

    def clear(self) -> None:
        """For tests."""
        self._values, self._pattern = set(), None


def _alternative(value: str) -> str:
    escaped = re.escape(value)
    return escaped if len(value) >= SHORT else rf"(?<!\w){escaped}(?!\w)"


_secrets = _Secrets()
remember_secrets = _secrets.add
redact = _secrets.redact
forget_secrets = _secrets.clear


def redact_url(url: str) -> str:
    """``url`` with every password hidden, whatever characters it holds: up to the last ``@``, and in the
    query.
    """
    hidden = re.sub(r"://([^:/@?]*):.*@", r"://\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&][^=&]*pass[^=&]*)=[^&]*", r"\1=***", hidden)
