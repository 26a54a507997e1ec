"""For development: runs a program on a writable copy of the code, and again whenever a file in it changes.
The image's own code can't be written to.

    python -m sigma_bot.container.reload PROGRAM ARGUMENT…
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE, COPY = Path("/opt/sigma/code"), Path("/tmp/code")
LOOK = 0.5  # seconds between looks at the files
GRACE = 20.0  # seconds a program has to end by itself


def newest(folder: Path) -> tuple[int, int]:
    """How many source files there are and the newest change among them, ns: either one tells of an edit."""
    changes = [path.stat().st_mtime_ns for path in folder.rglob("*.py")]
    return len(changes), max(changes, default=0)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(command: list[str], source: Path = SOURCE, copy: Path = COPY) -> int:
    if not copy.exists():  # a container that was started again keeps what was synchronised
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        seen = newest(copy)
        process = subprocess.Popen(command, env=environment)
        try:
            while newest(copy) == seen and (process.poll() is None or process.returncode):
                time.sleep(LOOK)  # one that failed waits here for the edit that mends it
            if process.poll() == 0:
                return 0
        finally:
            end(process)
        print("the code has changed: starting again", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
