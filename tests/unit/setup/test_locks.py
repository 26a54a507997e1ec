"""Every lock is closed: whatever a pinned distribution requires is pinned too, so installs resolve nothing.

An installation that still resolves breaks on the day when a newer release of something is published:
`coverage[toml]` was asked for, `coverage` was pinned, and pip took the newest there was.
"""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
METADATA: dict[str, dict[str, list[str]]] = json.loads((ROOT / "requirements/metadata.json").read_text())
# both ends of each, since markers tell patch releases apart
PYTHONS = ("3.11.2", "3.11.14", "3.12.3", "3.12.12", "3.13.5", "3.13.9")
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? *\\$", re.MULTILINE
)


def environment(python: str, extra: str = "") -> dict[str, str]:
    """What markers are asked of: CPython on Linux."""
    return {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "implementation_version": python,
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_release": "",
        "platform_version": "",
        "os_name": "posix",
        "extra": extra,
    }


def pins(text: str, python: str) -> dict[str, str]:
    """Version by name of what a lock installs on this Python."""
    found: dict[str, str] = {}
    for match in PIN.finditer(text):
        marker = match["marker"]
        if marker is None or Requirement(f"x ; {marker}").marker.evaluate(environment(python)):
            assert match["name"] not in found, f"{match['name']} is pinned twice for Python {python}"
            found[canonicalize_name(match["name"])] = match["version"]
    return found


def top_requirements(text: str) -> list[str]:
    """What the lock was made from, by the command in its second line."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    command = text.splitlines()[1]
    if group := re.search(r"--group (\S+)", command):
        return list(document["dependency-groups"][group[1]])
    project, optional = document["project"], document["project"]["optional-dependencies"]
    extras = optional if "--all-extras" in command else re.findall(r"--extra (\S+)", command)
    return [*project["dependencies"], *(top for extra in extras for top in optional[extra])]


def unmet(tops: list[str], pinned: dict[str, str], python: str, metadata: dict[str, Any]) -> list[str]:
    """Requirements that no pin meets, extras followed."""
    missing: list[str] = []
    waiting = [(Requirement(top), "the project", "") for top in tops]
    waiting += [(Requirement(f"{name}=={version}"), "the lock", "") for name, version in pinned.items()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted, by, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate(environment(python, extra)):
            continue
        name = canonicalize_name(wanted.name)
        if name not in pinned or not wanted.specifier.contains(Version(pinned[name]), prereleases=True):
            missing.append(f"{by} requires {wanted}, pinned is {pinned.get(name, 'none')}")
            continue
        own = metadata[f"{name}=={pinned[name]}"]
        for asked in ("", *wanted.extras):
            if (name, asked) not in seen:
                seen.add((name, asked))
                assert not asked or asked in own["extras"], f"{by} asks for {wanted}: there is no such extra"
                waiting += [(Requirement(text), f"{name}[{asked}]", asked) for text in own["requires"]]
    return missing


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_is_closed(lock: Path, python: str) -> None:
    text = lock.read_text()
    pinned = pins(text, python)
    assert pinned
    assert unmet(top_requirements(text), pinned, python, METADATA) == []


@pytest.mark.parametrize("gone", ["numpy", "click", "pluggy"])
def test_a_lock_that_misses_a_pin_is_found_out(gone: str) -> None:
    text = (ROOT / "requirements/dev.lock").read_text()
    pinned = pins(text, "3.12.3")
    del pinned[gone]
    assert unmet(top_requirements(text), pinned, "3.12.3", METADATA)


def test_an_extra_that_pulls_in_more_is_followed() -> None:
    metadata: dict[str, Any] = {
        "a==1": {"requires": ["b[c]"], "extras": []},
        "b==1": {"requires": ['d ; extra == "c"'], "extras": ["c"]},
    }
    assert unmet([], {"a": "1", "b": "1"}, "3.13.5", metadata) == [
        'b[c] requires d; extra == "c", pinned is none'
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_host_and_every_pin_has_hashes(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert [
        block.split()[0] for block in blocks if "==" in block.split("\n")[0] and "--hash=" not in block
    ] == []


def test_locks_agree_with_each_other() -> None:
    for python in PYTHONS:
        versions: dict[str, set[str]] = {}
        for lock in LOCKS:
            for name, version in pins(lock.read_text(), python).items():
                versions.setdefault(name, set()).add(version)
        assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_was_written_down_is_what_is_installed() -> None:
    compared = 0
    for found in distributions():
        key = f"{canonicalize_name(found.name)}=={found.version}"
        if key in METADATA:
            assert METADATA[key]["requires"] == sorted(found.requires or []), key
            compared += 1
    assert compared > 50
