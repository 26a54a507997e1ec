"""The process in the pod: what it leaves as its termination message."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from click.testing import CliRunner

from sigma_bot.cli.progress import Progress
from sigma_bot.cli.results import results
from sigma_bot.container import job
from sigma_bot.services.manifests import inline_source as render
from sigma_operator.pod_probe import PodProbe

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "ema-cross" / "backtest.yaml"


REPORT = {
    "digest": "d" * 64,
    "engine": "compiled",
    "events": 3,
    "seconds": {"run": 0.1},
    "counts": {"orders": 1},
}


def test_main_figures_come_first_and_the_rest_as_far_as_there_is_room() -> None:
    metrics = {f"figure_{i}": i for i in range(500)} | {"total_return": 0.5}
    message = job.compact({**REPORT, "metrics": metrics})
    assert job.size(message) <= 4096
    assert message["result"]["digest"] == REPORT["digest"]  # type: ignore[index]
    assert message["result"]["metrics"]["total_return"] == 0.5  # type: ignore[index]
    assert 100 < len(message["result"]["metrics"]) < 501  # type: ignore[index]


def test_a_failure_keeps_the_last_lines() -> None:
    lines = [f"line {i} " + "é" * 300 for i in range(60)] + ["ValueError: too dear"]
    message = job.failure(3, lines)
    assert job.size(message) <= 4096
    assert message["error"]["message"].endswith("ValueError: too dear")  # type: ignore[index]


def test_the_whole_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: Nothing\n")
    monkeypatch.setattr(job, "MESSAGE", tmp_path / "message")
    assert job.main(str(bad)) == 2
    said = json.loads((tmp_path / "message").read_text())
    assert said["error"]["code"] == 2
    assert "bad.yaml" in said["error"]["message"]


def test_a_run_gives_way_to_bots_where_memory_is_short() -> None:
    with subprocess.Popen(["sleep", "60"]) as run:
        job.give_way(run.pid)
        assert Path(f"/proc/{run.pid}/oom_score_adj").read_text() == "1000\n"
        run.kill()
    job.give_way(run.pid)  # that it has ended is nothing to stumble over


def test_a_joined_sweep_leaves_its_best_run() -> None:
    best = {"number": 3, "params": {"fast": 5}, "digest": "e" * 64, "metrics": {"sharpe": 1.5}}
    document = {
        "digest": "d" * 64,
        "engine": "compiled",
        "events": 9,
        "seconds": 0.5,
        "trials": 4,
        "invalid": 1,
        "deflated_sharpe": 0.7,
        "best": best,
        "runs": [best] * 4,
    }
    result = job.result_of(json.dumps(document))["result"]
    assert result["best"] == {"fast": 5}  # type: ignore[index]
    assert result["counts"] == {"trials": 4, "invalid": 1}  # type: ignore[index]
    assert result["metrics"] == {"sharpe": 1.5, "deflated_sharpe": 0.7}  # type: ignore[index]


def test_the_parts_of_a_sweep_on_a_cluster_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = yaml.safe_load(render(EXAMPLE))
    spec["spec"]["sweep"] = {"parameters": {"fast": "5:34", "slow": "40,50"}, "shards": 2}
    manifest = tmp_path / "sweep.yaml"
    manifest.write_text(yaml.safe_dump(spec))
    monkeypatch.setenv("SIGMA_DATABASE_URL", f"sqlite:///{tmp_path / 'runs.db'}")
    monkeypatch.setattr(job, "MESSAGE", tmp_path / "message")
    for index in ("1", "0"):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
        assert job.main(str(manifest), "--shard") == 0
    assert job.main(str(manifest), "--merge") == 0
    joined = json.loads((tmp_path / "message").read_text())["result"]
    space = ["--param", "fast=5:34", "--param", "slow=40,50"]
    command = ["sweep", str(EXAMPLE), *space, "--no-store", "--output", "json"]
    whole = json.loads(
        subprocess.run(
            [sys.executable, "-m", "sigma_bot.cli.main", *command], capture_output=True, check=True
        ).stdout
    )
    assert joined["digest"] == whole["digest"]
    assert joined["best"] == whole["best"]["params"]
    assert joined["counts"]["trials"] == 60, "more than a pipe holds"


async def asked(port: int) -> tuple[int, int] | None:
    """As the operator asks."""
    async with PodProbe(lambda *_: None) as bots:
        return await bots.probe_run("127.0.0.1", port)


def test_it_says_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    server = job.serve_progress(file, 0)
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert json.load(urlopen(f"{url}/progress")) == {}
        file.write_text("131072 1000000")
        assert json.load(urlopen(f"{url}/progress")) == {"done": 131072, "total": 1_000_000}
        assert asyncio.run(asked(server.server_address[1])) == (131072, 1_000_000)
        with pytest.raises(HTTPError):
            urlopen(f"{url}/etc/passwd")
    finally:
        server.shutdown()
        server.server_close()
    assert asyncio.run(asked(server.server_address[1])) is None


def test_a_run_writes_how_far_it_is_where_the_pod_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "progress"
    monkeypatch.setenv("SIGMA_PROGRESS", str(file))
    monkeypatch.setattr("sigma_bot.cli.progress.AFTER", 0.0)
    bar = Progress("backtest")
    bar.update(7, 10)
    assert job.progress_of(file.read_text()) == {"done": 7, "total": 10}
    bar.update(8, 10)  # at once: not written
    assert job.progress_of(file.read_text())["done"] == 7
    assert list(tmp_path.iterdir()) == [file]


def test_the_id_of_the_stored_run_is_left_where_it_can_be_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a database for results it is kept in the pod, and gone with it."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("SIGMA_DATABASE_URL", url)
    monkeypatch.setattr(job, "MESSAGE", tmp_path / "message")
    assert job.main(str(EXAMPLE)) == 0
    run = json.loads((tmp_path / "message").read_text())["result"]["run"]
    listed = CliRunner().invoke(results, ["list", "--output", "json", "--db", url])
    assert [entry["id"] for entry in json.loads(listed.output)] == [run]
    monkeypatch.delenv("SIGMA_DATABASE_URL")
    assert job.stored_run([f"stored: {run}\n"]) == ""
