"""What must never be shown, taken out of texts: keys, tokens, signatures, passwords in addresses."""

from __future__ import annotations

import re

HIDDEN = "***"
_LEAST = 6
"""Secrets shorter than this would blot out ordinary words."""

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
_known: set[str] = set()
"""Every secret this process has loaded."""


def remember_secrets(*secrets: str) -> None:
    """From now on `redact` hides these texts."""
    _known.update(secret for secret in secrets if len(secret) >= _LEAST)


def redact(text: str) -> str:
    """``text`` without any loaded key or secret, token or signature."""
    for part in sorted(_known, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


def redact_url(url: str) -> str:
    """``url`` with every password hidden, whatever characters it holds: up to the last ``@``, and in the
    query.
    """
    hidden = re.sub(r"://([^:/@?]*):.*@", r"://\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&][^=&]*pass[^=&]*)=[^&]*", r"\1=***", hidden)
