"""The version of everything: ``python charts/version.py`` prints it. With an argument it becomes that one, in
the package and in the charts, which can't read the package.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHARTS = Path(__file__).parent
SOURCE = CHARTS.parent / "bot" / "sigma_bot" / "version.py"
STATED = re.compile(r'^VERSION = "(.*)"$', re.MULTILINE)
CHARTED = re.compile(r"(?<=version: )[^\s,]+(?=,|$)|(?<=appVersion: )\S+$", re.MULTILINE)
FORM = re.compile(r"\d+\.\d+\.\d+(-[0-9a-z.]+)?")


def files() -> list[Path]:
    """The charts that state the version; the umbrella's copies are links."""
    return sorted(path for path in CHARTS.glob("*/Chart.yaml"))


def stated() -> str:
    """The package's version."""
    (version,) = STATED.findall(SOURCE.read_text())
    return str(version)


def write(version: str) -> None:
    """Make it this one everywhere. Raises SystemExit for what is no version."""
    if FORM.fullmatch(version) is None:
        raise SystemExit(f"version {version!r}: must be like 1.2.3 or 1.2.3-rc.1")
    SOURCE.write_text(STATED.sub(f'VERSION = "{version}"', SOURCE.read_text()))
    for path in files():
        path.write_text(CHARTED.sub(version, path.read_text()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1])
    print(stated())
