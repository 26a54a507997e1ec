"""Readiness of bots and progress of runs, asked over HTTP at the address of their pod. A bot whose readiness
changes enqueues its Strategy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType

import aiohttp

from sigma_operator.backtest.observe import parse_progress
from sigma_operator.backtest.render import PROGRESS_PORT
from sigma_operator.kubernetes.objects import Object
from sigma_operator.strategy.observe import container_status, parse_readiness
from sigma_operator.strategy.render import HEALTH_PORT
from sigma_operator.strategy.state import BotReadiness

INTERVAL_S = 15.0  # seconds between two probes of a bot
CONCURRENCY = 20
TIMEOUT = aiohttp.ClientTimeout(total=2)
MAX_BYTES = 65_536  # bytes read of a response

log = logging.getLogger("sigma_operator")


def comparable(readiness: BotReadiness | None) -> object:
    """The part of a readiness whose change is worth a reconcile; the message may hold figures that always
    change."""
    return None if readiness is None else (readiness.reason, readiness.halted, readiness.flat)


class PodProbe:
    """Probes every running bot at a fixed interval."""

    def __init__(self, enqueue: Callable[[str, str], None], port: int = HEALTH_PORT) -> None:
        self._enqueue = enqueue
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[tuple[str, str], tuple[str, BotReadiness | None]] = {}

    async def __aenter__(self) -> PodProbe:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def probe_bot(self, namespace: str, name: str, pod: Object | None) -> BotReadiness | None:
        """The readiness of the bot in this pod, which is probed regularly from now on; no longer when there
        is no running pod."""
        address = pod.get("status", {}).get("podIP") if pod is not None else None
        if pod is None or not address or "running" not in container_status(pod).get("state", {}):
            self._targets.pop((namespace, name), None)
            return None
        readiness = await self._readiness(address)
        self._targets[namespace, name] = (address, readiness)
        return readiness

    async def probe_run(self, address: str, port: int = PROGRESS_PORT) -> tuple[int, int] | None:
        """Rows done and rows in all of the backtest at this address; None where it does not say."""
        body = await self._get(address, port, "progress")
        return None if body is None else parse_progress(body)

    async def _readiness(self, address: str) -> BotReadiness | None:
        body = await self._get(address, self._port, "readyz")
        return None if body is None else parse_readiness(body)

    async def _get(self, address: str, port: int, page: str) -> str | None:
        assert self._session is not None
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{port}/{page}") as response:
                body = await response.content.read(MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None  # the kubelet's status tells of a pod that does not answer
        return body.decode(errors="replace")

    async def probe_all(self) -> None:
        """Probe every bot once; enqueue the Strategies whose bot's readiness has changed."""
        limit = asyncio.Semaphore(CONCURRENCY)

        async def one(key: tuple[str, str], address: str, before: BotReadiness | None) -> None:
            async with limit:
                readiness = await self._readiness(address)
            if comparable(readiness) != comparable(before) and self._targets.get(key) == (address, before):
                self._targets[key] = (address, readiness)
                self._enqueue(*key)

        await asyncio.gather(*(one(key, *known) for key, known in list(self._targets.items())))

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.probe_all()
