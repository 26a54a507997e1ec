"""A SIM bot imports the bus: it must stay small."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "pandas", "pyarrow", "numba", "ccxt", "aiohttp", "sqlalchemy", "pydantic")


def test_the_bus_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sigma_bot.bus import open_bus; from sigma_bot.model import messages; "
        "open_bus('redis://127.0.0.1:1/0'); open_bus('memory://'); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
