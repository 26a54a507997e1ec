"""The process of a Backtest's pod: runs the command line and leaves its result where the kubelet picks it up.

The result goes into the container's termination message, at most 4,096 bytes, so the pod needs no right to
talk to the API server. While it runs, the operator asks at /progress how far it is. What the run prints goes
to the pod's log unchanged.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MESSAGE = Path(os.environ.get("TERMINATION_MESSAGE", "/dev/termination-log"))
COMPILED = Path("/opt/sigma/compiled")
LIMIT = 4096  # bytes; the kubelet cuts off what is longer
KEPT_LINES = 60
STORED = "stored: "  # what `sigma backtest` says of the run it has stored
RESULT = ("digest", "run", "engine", "events", "seconds", "counts", "best")
# The figures worth a place when there is none for all, the first ones first.
MAIN_METRICS = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "volatility",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "fees",
)


def size(document: object) -> int:
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def compact(report: dict[str, object], limit: int = LIMIT) -> dict[str, object]:
    """What of the command line's JSON fits: digest and counts always, then as many figures as there is room
    for."""
    result = {key: report[key] for key in RESULT if key in report}
    metrics = report.get("metrics")
    if not isinstance(metrics, dict):
        return {"result": result}
    order = {name: place for place, name in enumerate(MAIN_METRICS)}
    kept: dict[str, object] = {}
    for name in sorted(metrics, key=lambda name: order.get(name, len(order))):
        more = kept | {name: metrics[name]}
        if size({"result": result | {"metrics": more}}) > limit:
            break
        kept = more
    return {"result": result | {"metrics": kept}}


def failure(code: int, lines: list[str], limit: int = LIMIT) -> dict[str, object]:
    """The exit code and the last lines of what the run said, as many as fit; the last one says what is
    wrong."""
    kept = [line.rstrip()[:500] for line in lines if line.strip()]
    while len(kept) > 1 and size({"error": {"code": code, "message": "\n".join(kept)}}) > limit:
        kept.pop(0)
    return {"error": {"code": code, "message": "\n".join(kept)}}


def leave(document: dict[str, object]) -> None:
    MESSAGE.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


def seed(cache: Path) -> None:
    """Begin with the compiled engine of the image. The image can't be written to, so entries are copied."""
    if COMPILED.is_dir():
        shutil.copytree(COMPILED, cache, dirs_exist_ok=True)


def part_of_sweep(manifest: str, part: str) -> list[str]:
    """The command of one part of a sweep, or of joining them. The parts run at one time, so each takes its
    share of the processors that a pod may use."""
    from sigma_bot.services.cores import cores
    from sigma_bot.spec import load_manifest

    sweep = load_manifest(Path(manifest), "Backtest").spec.sweep
    assert sweep is not None
    command = ["sweep", manifest, *sweep.arguments(), "--jobs", str(max(1, cores() // sweep.shards))]
    if part == "--merge":
        return [*command, "--merge", str(sweep.shards), "--output", "json"]
    index = int(os.environ["JOB_COMPLETION_INDEX"]) + 1
    return [*command, "--shard", f"{index}/{sweep.shards}"]


def progress_of(text: str) -> dict[str, int]:
    """What the command line has written of its progress, nothing before it has begun."""
    words = text.split()
    return {"done": int(words[0]), "total": int(words[1])} if len(words) == 2 else {}


def serve_progress(file: Path, port: int) -> HTTPServer:
    """Answer GET /progress from now on, in a thread that ends with the process."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = progress_of(file.read_text() if file.exists() else "")
            body = json.dumps(known).encode()
            self.send_response(200 if self.path == "/progress" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """The pod's log is the run's."""

    server = HTTPServer(("", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def stored_run(said: list[str]) -> str:
    """The id under which the run is kept in the database for results; empty where there is none."""
    if not os.environ.get("SIGMA_DATABASE_URL"):
        return ""
    ids = [line.removeprefix(STORED).strip() for line in said if line.startswith(STORED)]
    return ids[-1] if ids else ""


def result_of(printed: str, run: str = "") -> dict[str, object]:
    """The last message of a run that went well."""
    try:
        report = json.loads(printed)
    except ValueError:
        return {"part": printed.strip()[-500:]}  # a part of a sweep: its runs are in the database
    if "runs" in report:
        best, counts = report["best"], {"trials": report["trials"], "invalid": report["invalid"]}
        metrics = best["metrics"] | {"deflated_sharpe": report["deflated_sharpe"]}
        report |= {"metrics": metrics, "counts": counts, "best": best["params"]}
        report["seconds"] = {"merge": report["seconds"]}
    return compact({**report, "run": run} if run else report)


def give_way(pid: int) -> None:
    """Let the kernel end this process first where memory is short, however little it holds. By itself the
    kernel spares who requests more, and a run requests more than a bot."""
    with contextlib.suppress(OSError):  # it may have ended
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def main(manifest: str, part: str = "") -> int:
    seed(Path(os.environ.get("SIGMA_CACHE") or Path.home() / ".cache" / "sigma-x"))
    what = part_of_sweep(manifest, part) if part else ["backtest", manifest, "--output", "json"]
    command = [sys.executable, "-m", "sigma_bot.cli.main", *what]
    told = Path(tempfile.mkdtemp()) / "progress"
    if port := os.environ.get("SIGMA_PROGRESS_PORT"):
        serve_progress(told, int(port))
    # A document may be larger than a pipe holds, and both streams come from one process: it goes to a file.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        environment = {**os.environ, "SIGMA_PROGRESS": str(told)}
        run = subprocess.Popen(
            command, stdout=out, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        )
        give_way(run.pid)
        signal.signal(signal.SIGTERM, lambda *_: run.send_signal(signal.SIGINT))
        said: deque[str] = deque(maxlen=KEPT_LINES)
        assert run.stderr is not None
        for line in run.stderr:
            sys.stderr.write(line)
            said.append(line)
        code = run.wait()
        out.seek(0)
        printed = out.read()
    sys.stdout.write(printed)
    if code != 0:
        leave(failure(code, list(said)))
        return code if code > 0 else 128 - code
    leave(result_of(printed, stored_run(list(said))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
