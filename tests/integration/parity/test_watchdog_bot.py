"""A bot whose strategy never returns: reported, ended, halted with its line, and nothing of it is stored."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from sigma_bot.health.server import HealthServer, Pages
from sigma_bot.health.watchdog import Watchdog
from sigma_bot.journal import Filter
from sigma_bot.model.messages import ticks_log
from tests.integration.parity.parity_rig import HEAD, Desk, walk

ENDLESS = (
    HEAD
    + """
class Endless(Strategy):
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen == 30:
            broker.buy(0.01)
            while self.seen > 0:
                self.seen += 1
"""
)


class Prober(threading.Thread):
    """Asks /healthz until it fails; keeps that answer. A kubelet does the same."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/healthz"
        self.said: dict[str, object] = {}

    def run(self) -> None:
        while not self.said:
            try:
                urllib.request.urlopen(self.url, timeout=10).close()
            except urllib.error.HTTPError as error:
                self.said = json.load(error)
            time.sleep(0.02)


async def test_an_endless_callback_halts_the_bot(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENDLESS)
    desk.prices = walk(60, "endless")
    async with desk.open(), desk.running() as runner:
        runner.heartbeat.callback_limit_s = 0.2
        pages = Pages(runner.heartbeat, runner.ready, runner.facts, runner.metrics.text)
        server, dog = HealthServer(pages, 0), Watchdog(runner.heartbeat, end_after_s=1.0, poll_s=0.05)
        server.start()
        dog.start()
        prober = Prober(server.port)
        try:
            await desk.listening(runner)
            prober.start()
            for seq in range(1, 61):
                batch = desk.batch(seq)
                await desk.bus.append(ticks_log("upbit"), seq, batch.encode())
            await desk.until(
                lambda: (
                    runner.session is not None
                    and runner.session.bot.progress.tick >= 60
                    and bool(runner.session.bot.progress.halted)
                )
            )
            await asyncio.to_thread(prober.join, 10)
        finally:
            dog.close()
            server.close()
        orders = await desk.journal.orders(Filter("cross"))
        halted = (await desk.journal.controls_for("cross")).halted_by
        [raised] = [e.row for e in await desk.journal.inputs(Filter("cross")) if e.row.kind == "raised"]
    assert prober.said["reason"] == "Stuck"
    assert "in a callback of the strategy" in str(prober.said["message"])
    assert halted is not None
    assert "had not returned for 1 s" in halted.reason
    assert "in on_tick" in str(raised.payload["error"])
    assert "self.seen" in str(raised.payload["error"])
    assert not orders.rows
    assert runner.sessions == 2
