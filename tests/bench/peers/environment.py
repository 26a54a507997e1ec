"""Throw-away environments for other engines, and runs of a script inside them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.scene import Scene

SCRIPTS = Path(__file__).with_name("scripts")


class PeerError(Exception):
    """A peer that cannot be installed, fails, or disagrees."""


@dataclass(frozen=True)
class Answer:
    """What a script found: the arrays of its fills or trades, and the seconds of its repeated runs."""

    arrays: dict[str, np.ndarray]
    seconds: tuple[float, ...]


def interpreter(scene: Scene, package: str) -> Path:
    """Python of an environment that holds ``package`` ("name==version"), made when it is not there."""
    place = scene.folder / package.replace("==", "-")
    python = place / "bin" / "python"
    stamp = place / "ready"
    if not stamp.exists():
        print(f"installing {package} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PeerError(f"{package} could not be installed: {last[:120]}")
        stamp.touch()
    return python


def ask(scene: Scene, package: str, script: str, columns: dict[str, np.ndarray], **job: Any) -> Answer:
    """Run ``scripts/NAME`` on columns: it reads in.npz and the job, writes out.npz, prints its seconds."""
    python = interpreter(scene, package)
    folder = scene.folder / script.removesuffix(".py")
    folder.mkdir(exist_ok=True)
    np.savez(folder / "in.npz", **columns)  # type: ignore[arg-type]
    done = subprocess.run(
        [python, "-W", "ignore", SCRIPTS / script, folder, json.dumps(job)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PeerError(f"{package} failed: {last[:120]}")
    with np.load(folder / "out.npz") as found:
        return Answer(dict(found), tuple(json.loads(done.stdout.strip().splitlines()[-1])))


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], package: str) -> str:
    """Say how many rows agree exactly. Raises PeerError at the first that does not."""
    count = len(next(iter(ours.values())))
    for name, values in ours.items():
        other = theirs[name]
        if len(other) != count:
            raise PeerError(f"{package} disagrees: {len(other)} rows, ours {count}; not timed")
        wrong = np.flatnonzero(values != other)
        if len(wrong):
            i = int(wrong[0])
            raise PeerError(f"{package} disagrees: {name}[{i}] is {other[i]}, ours {values[i]}; not timed")
    if not count:
        raise PeerError("nothing was traded, so nothing was compared; not timed")
    return f"{count:,} rows equal"
