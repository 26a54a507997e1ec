"""Files a user would have, and the command run on them, in this process or in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sigma_bot.cli.main import run

CROSS = '''"""Cross of two averages."""
from sigma_bot import Sma, Strategy, param


class Cross(Strategy):
    fast: int = param(3, ge=1, le=50)
    slow: int = param(9, ge=2, le=200)
    size: float = param(2.0, gt=0)
    quick: Sma
    calm: Sma

    def on_start(self):
        self.quick.setup(self.fast)
        self.calm.setup(self.slow)

    def on_tick(self, tick, broker):
        self.decide(tick.mid, broker)

    def on_bar(self, bar, broker):
        self.decide(bar.close, broker)

    def decide(self, price, broker):
        quick = self.quick.update(price)
        calm = self.calm.update(price)
        if self.calm.ready:
            if quick > calm and broker.position == 0:
                broker.buy(self.size, stop_loss=price * 0.98)
            elif quick < calm and broker.position > 0:
                broker.close()
'''


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass
class Desk:
    """``folder`` is the working directory."""

    folder: Path
    capfd: pytest.CaptureFixture[str]

    def file(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def manifest(self, name: str = "backtest.yaml", code: str = CROSS, **spec: Any) -> Path:
        """A manifest on 2,000 generated minute bars, its strategy beside it."""
        self.file("strategy.py", code)
        period = {"from": "2024-01-01", "to": "2024-01-02T09:20:00Z"}
        market = {"symbol": "BTC", "tickSize": "0.01", "lotSize": "0.001", "fees": {"taker": "0.0005"}}
        default = {
            "strategy": {"file": "strategy.py"},
            "markets": [market],
            "data": {"source": "synthetic", "kind": "bars", "timeframe": "1m"},
            "period": period,
            "account": {"cash": "10000"},
        }
        merged = {k: v for k, v in {**default, **spec}.items() if v is not None}
        head = {"apiVersion": "sigma-x.io/v1alpha1", "kind": "Backtest", "metadata": {"name": "desk"}}
        return self.file(name, yaml.safe_dump(head | {"spec": merged}, sort_keys=False))

    def sigma(self, *arguments: str | Path) -> Answer:
        """The command, run in this process."""
        self.capfd.readouterr()
        code = run([str(a) for a in arguments])
        out, err = self.capfd.readouterr()
        return Answer(code, out, err)

    def backtest(self, *arguments: str | Path, db: str | Path = "runs.db") -> Answer:
        """`sigma backtest` with JSON and a database on the desk."""
        return self.sigma("backtest", *arguments, "--db", db, "--output", "json")

    def stored(self, db: str | Path = "runs.db") -> list[Any]:
        """The runs of a database; none where there is no file."""
        if "://" not in str(db) and not (self.folder / db).exists():
            return []
        listed = self.sigma("results", "list", "--db", db, "--output", "json")
        assert listed.code == 0, listed.err
        return list(listed.json)

    def left_over(self) -> set[str]:
        """Reports, drafts of reports, and databases with a run in them."""
        reports = {
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if p.suffix == ".html" or p.suffix == ".part"
        }
        return reports | {p.name for p in self.folder.glob("*.db") if self.stored(p.name)}


def sigma_process(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, its output in pipes."""
    command = [sys.executable, "-m", "sigma_bot.cli.main", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **(pipes | options))


def finished(process: subprocess.Popen[str]) -> Answer:
    """The process's answer, or a failure when it has not ended after two minutes."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Answer(process.returncode, out, err)
