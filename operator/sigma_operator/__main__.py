"""The operator's process, `python -m sigma_operator`: watches, workers, probes and metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import kopf

from sigma_operator.backtest.reconcile import BacktestReconciler
from sigma_operator.handlers import CHILDREN, RESOURCES, SELECTOR, registry, settings
from sigma_operator.health import QUEUE_DEPTH, RECONCILE_DURATION, RECONCILES, Health
from sigma_operator.kubernetes.api import Api, ApiError, connect
from sigma_operator.kubernetes.watchdog import Watchdog
from sigma_operator.kubernetes.workqueue import Key, WorkQueue, run_worker
from sigma_operator.pod_probe import PodProbe
from sigma_operator.settings import MANAGER, Settings
from sigma_operator.strategy.reconcile import StrategyReconciler

WORKERS = 8
RELIST_INTERVAL_S = 60.0  # seconds between two lists that the watches are compared with

log = logging.getLogger("sigma_operator")


def dispatcher(*reconcilers: tuple[str, Callable[[str, str], Awaitable[float | None]]]) -> Any:
    """The reconcile function of all kinds: calls that of the key's kind, timed and counted."""
    by_kind = dict(reconcilers)

    async def reconcile(key: Key) -> float | None:
        kind, namespace, name = key
        result = "error"
        try:
            with RECONCILE_DURATION.labels(kind).time():
                after = await by_kind[kind](namespace, name)
            result = "success"
            return after
        finally:
            RECONCILES.labels(kind, result).inc()

    return reconcile


def log_failure(key: Key, error: Exception, delay: float) -> None:
    """Log a reconcile that raised and is retried after ``delay`` seconds."""
    log.warning("%s %s/%s: %s: %s; again in %.1f s", *key, type(error).__name__, error, delay)


async def become_ready(api: Api, watching: asyncio.Event, health: Health) -> None:
    """Set the readiness once kopf runs and the API server answers. kopf's own flag only says that its tasks
    were started."""
    await watching.wait()
    while not await api.served():
        await asyncio.sleep(1)
    health.ready = True
    await asyncio.Future()  # the process ends when any of its tasks does


async def check_watches(api: Api, watchdog: Watchdog, namespaces: tuple[str, ...], queue: WorkQueue) -> None:
    """Compare the watches with lists. What a watch has missed is enqueued; a dead watch fails the liveness
    probe."""
    while True:
        await asyncio.sleep(RELIST_INTERVAL_S)
        for kind in (*RESOURCES, *CHILDREN):
            listed: dict[tuple[str, str], str] = {}
            try:
                for namespace in namespaces or ("",):
                    listed |= await api.versions(kind, namespace, SELECTOR if kind in CHILDREN else "")
            except (ApiError, OSError, TimeoutError) as error:
                log.warning("can't list %s: %s", kind, error)  # nothing to compare the watch with
                continue
            for missed in watchdog.check(kind, listed):
                log.error("the watch of %s has not shown %s/%s", kind, *missed)
                if kind in RESOURCES:
                    queue.add((kind, *missed))


async def watch(
    queue: WorkQueue,
    watchdog: Watchdog,
    namespaces: tuple[str, ...],
    watching: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Run kopf until ``stop`` is set; ``watching`` is set when its tasks are started."""
    await kopf.operator(
        registry=registry(queue.add, watchdog),
        settings=settings(),
        identity=cast(Any, MANAGER),  # kopf would ask for a user name, and the pod's user has none
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=watching,
        stop_flag=stop,
    )


async def run() -> int:
    """Run until SIGTERM, or until one of the tasks ends by itself, which is a failure. The exit code."""
    configuration = Settings.from_environment()
    queue, watchdog = WorkQueue(), Watchdog()
    watching, stop = asyncio.Event(), asyncio.Event()
    health = Health(watchdog)
    QUEUE_DEPTH.set_function(lambda: len(queue))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = await health.serve()
    probe = PodProbe(lambda namespace, name: queue.add(("Strategy", namespace, name), urgent=True))
    async with connect() as api, probe:
        reconcile = dispatcher(
            ("Backtest", BacktestReconciler(api, configuration, probe.probe_run)),
            ("Strategy", StrategyReconciler(api, configuration, probe)),
        )
        namespaces = configuration.namespaces
        tasks = [
            asyncio.create_task(watch(queue, watchdog, namespaces, watching, stop), name="watch"),
            *(
                asyncio.create_task(run_worker(queue, reconcile, log_failure), name="worker")
                for _ in range(WORKERS)
            ),
            asyncio.create_task(become_ready(api, watching, health), name="readiness"),
            asyncio.create_task(probe.run(), name="pod probe"),
            asyncio.create_task(check_watches(api, watchdog, namespaces, queue), name="watchdog"),
        ]
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
    """Run and exit."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for every event otherwise
    sys.exit(asyncio.run(run()))


if __name__ == "__main__":
    main()
