"""``python -m tests.mutation``: the share of mutants that the tests kill, room by room, in a throw-away copy.

A mutant is one change such as ``<`` into ``<=`` or ``True`` into ``False``. Each room's mutants are a random
sample by ``--seed``; the tests of the room run on each until one fails. ``--commit`` takes another commit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = "cosmic-ray==8.7.0"
# room: its code, and the folders of its tests, the quick ones first
ROOMS = {
    "engine": ("bot/sigma_bot/engine", ("tests/unit/engine", "tests/integration/engine")),
    "trading": ("bot/sigma_bot/trading", ("tests/unit/trading", "tests/integration/trading")),
    "journal": ("bot/sigma_bot/journal", ("tests/unit/journal", "tests/integration/journal")),
    "operator": ("operator/sigma_operator", ("tests/unit/operator",)),
}
# They change annotations alone: what runs has no `X | None` of another kind.
LEFT_OUT = ["core/ReplaceBinaryOperator_BitOr_.*"]
TIMEOUT_S = 400.0


def tool(folder: Path) -> Path:
    """Where the programs of the tool are, in an environment of its own."""
    place = folder / "tool"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/python", "-m", "pip", "install", "--quiet", TOOL], check=True)
    return place / "bin"


def configuration(room: str, copy: Path) -> str:
    """The tool's settings for a room."""
    code, tests = ROOMS[room]
    there = " ".join(test for test in tests if (copy / test).exists())
    command = f"{sys.executable} -m pytest {there} -x -q -n0 -p no:cacheprovider"
    return "\n".join(
        (
            "[cosmic-ray]",
            f"module-path = {json.dumps(str(copy / code))}",
            f"timeout = {TIMEOUT_S}",
            "excluded-modules = []",
            f"test-command = {json.dumps(command)}",
            "[cosmic-ray.distributor]",
            'name = "local"',
            "[cosmic-ray.filters.operators-filter]",
            f"exclude-operators = {json.dumps(LEFT_OUT)}",
        )
    )


def run(room: str, copy: Path, programs: Path, count: int, seed: int) -> list[dict[str, object]]:
    """The sampled mutants of a room, each with its outcome."""
    config, session = copy / f"{room}.toml", copy / f"{room}.sqlite"
    config.write_text(configuration(room, copy))
    paths = os.pathsep.join(str(copy / part) for part in ("bot", "operator", "."))
    environment = {**os.environ, "PYTHONPATH": paths}

    def call(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=copy, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    call(programs / "cosmic-ray", "baseline", config)  # the tests pass on what is not changed
    call(programs / "cosmic-ray", "init", config, session)
    call(programs / "cr-filter-operators", session, config)
    call(programs / "python", Path(__file__).with_name("sample.py"), "leave", session, count, seed)
    call(programs / "cosmic-ray", "exec", config, session)
    told = call(programs / "python", Path(__file__).with_name("sample.py"), "tell", session)
    return [json.loads(line) for line in told.splitlines()]


def main() -> None:
    """Print a line for each room, then the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"one of {', '.join(ROOMS)}; all when none")
    parser.add_argument("--count", type=int, default=25, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commit", default="HEAD")
    asked = parser.parse_args()
    if unknown := set(asked.rooms) - set(ROOMS):
        parser.error(f"no room {sorted(unknown)[0]!r}; there are {', '.join(ROOMS)}")
    with tempfile.TemporaryDirectory(prefix="sigma-x-mutation-") as scratch:
        programs = tool(Path(scratch))
        copy = Path(scratch) / "copy"
        subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, copy], check=True)
        subprocess.run(["git", "-C", copy, "checkout", "--quiet", asked.commit], check=True)
        survivors = []
        for room in asked.rooms or ROOMS:
            mutants = run(room, copy, programs, asked.count, asked.seed)
            ended = Counter(mutant["outcome"] for mutant in mutants)
            print(f"{room}: {ended['killed']} of {len(mutants)} killed ({dict(ended)})", flush=True)
            survivors += [mutant for mutant in mutants if mutant["outcome"] == "survived"]
        for mutant in survivors:
            file = Path(str(mutant["file"])).relative_to(copy)
            print(f"survived: {file}:{mutant['line']} {mutant['operator']}")


if __name__ == "__main__":
    main()
