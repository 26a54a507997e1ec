"""The Dockerfiles as text, and the bill of materials that each of them prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGES = sorted((ROOT / "images").glob("*/Dockerfile"))


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.parent.name)
def test_an_image_is_of_debian_and_belongs_to_nobody(path: Path) -> None:
    text = path.read_text()
    stages = set(re.findall(r" AS (\S+)$", text, re.M))
    bases = set(re.findall(r"^FROM (\S+)", text, re.M)) - stages
    assert bases == {"docker.io/library/debian:trixie-slim"}
    assert re.findall(r"^USER (.+)$", text, re.M)
    assert set(re.findall(r"^USER (.+)$", text, re.M)) == {"65532:65532"}
    for label in ("title", "description", "licenses", "version"):
        assert f"org.opencontainers.image.{label}=" in text
    assert "sbom.sh" in text
    for install in re.findall(r"pip.* install .*", text):
        assert "--require-hashes" in text[text.index(install) :][:300], install
    assert path.with_name("Dockerfile.dockerignore").read_text().startswith("*\n")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="not a Debian")
def test_the_bill_lists_packages_of_debian_and_python() -> None:
    site = sysconfig.get_paths()["purelib"]
    done = subprocess.run([ROOT / "images" / "sbom.sh", site], capture_output=True, text=True, check=True)
    bill = json.loads(done.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    found = {component["purl"].partition("@")[0]: component for component in bill["components"]}
    assert "pkg:deb/debian/dpkg" in found
    assert found["pkg:pypi/pydantic"]["version"] == version("pydantic")
    assert all(component["version"] for component in bill["components"])
