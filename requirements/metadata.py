"""Writes down what every pinned distribution requires, on Python 3.11, 3.12 and 3.13:
``python requirements/metadata.py UV``, which `make lock` calls. The test of the locks then needs no network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

HERE = Path(__file__).parent
VERSIONS = ("3.11", "3.12", "3.13")
SOURCE_ONLY = ("peewee",)
"""Published without a wheel: built, and so looked at, for the Python that runs this."""


def described(found: Distribution) -> dict[str, list[str]]:
    """The requirements of a distribution and the extras it offers."""
    return {
        "requires": sorted(found.requires or []),
        "extras": sorted(found.metadata.get_all("Provides-Extra") or []),
    }


def blocks(text: str) -> list[str]:
    """A lock's pins, each with its hashes."""
    return re.split(r"\n(?=[A-Za-z0-9])", text)


def unpacked(uv: str, version: str, locked: list[str]) -> dict[str, dict[str, list[str]]]:
    """Name and version of each distribution that these pins install, with its metadata."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text("\n".join(locked))
        options = ["--no-deps", "--require-hashes", "--no-build-isolation", "--python", sys.executable]
        target = ["--target", f"{folder}/packages", "--python-version", version]
        subprocess.run([uv, "pip", "install", "--quiet", *options, *target, "-r", str(pins)], check=True)
        return {
            f"{found.name.lower().replace('_', '-')}=={found.version}": described(found)
            for found in distributions(path=[f"{folder}/packages"])
        }


def main(uv: str) -> None:
    """Unpack every lock for each Python and keep the metadata."""
    locked = sorted(
        {block for lock in HERE.glob("*.lock") for block in blocks(lock.read_text()) if "==" in block}
    )
    # the comments say for whom a pin is there, which differs from lock to lock
    locked = sorted({re.sub(r"\n *#.*", "", block) for block in locked})
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = unpacked(uv, running, locked)
    wheels = [block for block in locked if not block.startswith(SOURCE_ONLY)]
    for version in VERSIONS:
        if version != running:
            found |= unpacked(uv, version, wheels)
    (HERE / "metadata.json").write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
