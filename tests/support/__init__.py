"""What tests of several rooms share: real servers, bots, generated strategies."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository, from which ``python -m tests...`` runs."""
