"""Probes and metrics of the operator itself."""

from __future__ import annotations

import os

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from sigma_operator.kubernetes.watchdog import Watchdog

RECONCILES = Counter("sigmax_reconcile_total", "Reconciles by their result", ["kind", "result"])
RECONCILE_DURATION = Histogram("sigmax_reconcile_duration_seconds", "Time of a reconcile", ["kind"])
QUEUE_DEPTH = Gauge("sigmax_queue_depth", "Resources queued or being reconciled")
DEAD_WATCHES = Gauge("sigmax_dead_watches", "Watches that have missed a version of an object")
GENERATION_LAG = Gauge("sigmax_generation_lag", "Resources whose observedGeneration is behind", ["kind"])
PORT = 8080


class GenerationLag:
    """Which resources have a generation above their status' observedGeneration."""

    def __init__(self) -> None:
        self._behind: dict[str, set[tuple[str, str]]] = {}

    def set(self, kind: str, namespace: str, name: str, behind: bool) -> None:
        """Set the state of one resource."""
        names = self._behind.setdefault(kind, set())
        (names.add if behind else names.discard)((namespace, name))
        GENERATION_LAG.labels(kind).set(len(names))


class Health:
    """The pages `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.ready = False
        self._watchdog = watchdog
        DEAD_WATCHES.set_function(lambda: len(watchdog.dead))

    async def healthz(self, _: web.Request) -> web.Response:
        """Liveness: 503 names the dead watches, and the kubelet restarts the operator."""
        if self._watchdog.dead:
            missed = ", ".join(
                f"{kind} ({'/'.join(name)} was not shown)" for kind, name in self._watchdog.dead.items()
            )
            return web.Response(status=503, text=f"dead watches: {missed}")
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """Readiness: 503 until everything is watched."""
        return web.Response(text="ok") if self.ready else web.Response(status=503, text="starting")

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def serve(self) -> web.AppRunner:
        """Listen on SIGMA_HEALTH_PORT, 8080 when it is not set."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/readyz", self.readyz),
                web.get("/metrics", self.metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", int(os.environ.get("SIGMA_HEALTH_PORT", PORT))).start()
        return runner
