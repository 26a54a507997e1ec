"""The operator's process, `python -m sigma_operator`: watches, works, answers probes and Prometheus."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import kopf
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from sigma_operator.handlers import registry, settings
from sigma_operator.kube import Api, connect
from sigma_operator.reconcile import BacktestReconciler
from sigma_operator.settings import MANAGER, Settings
from sigma_operator.work import Key, WorkQueue, work

WORKERS = 4
HEALTH_PORT = 8080

RECONCILES = Counter("sigmax_reconcile_total", "Steps by their result", ["kind", "result"])
DURATION = Histogram("sigmax_reconcile_duration_seconds", "Time of a step", ["kind"])
DEPTH = Gauge("sigmax_queue_depth", "Resources waiting or worked on")

log = logging.getLogger("sigma_operator")


def measured(reconcile: BacktestReconciler) -> Callable[[Key], Awaitable[float | None]]:
    """The reconciler with its steps timed and counted."""

    async def step(key: Key) -> float | None:
        result = "error"
        try:
            with DURATION.labels("Backtest").time():
                after = await reconcile(key)
            result = "success"
            return after
        finally:
            RECONCILES.labels("Backtest", result).inc()

    return step


def report(key: Key, error: Exception, delay: float) -> None:
    log.warning("%s/%s: %s: %s; again in %.1f s", *key, type(error).__name__, error, delay)


async def announce(api: Api, watching: asyncio.Event, ready: asyncio.Event) -> None:
    """Ready: kopf runs and the API server answers. kopf's own flag says no more than that its tasks were
    started."""
    await watching.wait()
    while not await api.served():
        await asyncio.sleep(1)
    ready.set()
    await asyncio.Future()  # the process ends when any of its tasks does


async def serve_health(ready: asyncio.Event) -> web.AppRunner:
    """`/healthz` while the loop turns, `/readyz` once everything is watched, `/metrics`."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready.is_set() else web.Response(status=503, text="starting")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", HEALTH_PORT).start()
    return runner


async def run() -> int:
    """Run until told to stop, or until watching or working ends by itself, which is a failure."""
    configuration = Settings.from_environment()
    queue, watching, ready, stop = WorkQueue(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    DEPTH.set_function(lambda: len(queue))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = await serve_health(ready)
    async with connect() as api:
        reconcile = measured(BacktestReconciler(api, configuration))
        watch = kopf.operator(
            registry=registry(queue),
            settings=settings(),
            identity=cast(Any, MANAGER),  # kopf would ask for a user name, and the pod's user has none
            standalone=True,
            clusterwide=not configuration.namespaces,
            namespaces=configuration.namespaces,
            ready_flag=watching,
            stop_flag=stop,
        )
        tasks = [asyncio.create_task(watch, name="watching")]
        tasks += [asyncio.create_task(work(queue, reconcile, report), name="working") for _ in range(WORKERS)]
        tasks.append(asyncio.create_task(announce(api, watching, ready), name="announcing"))
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await runner.cleanup()
    if stop.is_set():
        return 0
    for task in ended:
        log.error("%s ended: %r", task.get_name(), task.exception() if not task.cancelled() else "cancelled")
    return 1


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for every event otherwise
    sys.exit(asyncio.run(run()))


if __name__ == "__main__":
    main()
