"""Plays a recording into an exchange: in time with the clock, faster, paused, for ever."""

from __future__ import annotations

from typing import Any


class Player:
    """Placeholder."""

    def control(self, paused: bool | None, speed: float | None, seek: float | None) -> None:
        """Change how it plays."""

    def state(self) -> dict[str, Any]:
        """Where it is."""
        return {}
