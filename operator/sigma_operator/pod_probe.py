"""What bots and runs say of themselves, asked by the address of their pod. A new answer of a bot wakes its
Strategy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType

import aiohttp

from sigma_operator.backtest.observe import parse_progress
from sigma_operator.backtest.render import PROGRESS_PORT
from sigma_operator.kubernetes.objects import Object
from sigma_operator.strategy.state import BotReadiness
from sigma_operator.strategy.observe import container_status, parse_readiness
from sigma_operator.strategy.render import HEALTH_PORT

INTERVAL_S = 15.0  # seconds between two rounds
CONCURRENCY = 20
TIMEOUT = aiohttp.ClientTimeout(total=2)
MAX_BYTES = 65_536  # bytes read of an readiness

log = logging.getLogger("sigma_operator")


def comparable(readiness: BotReadiness | None) -> object:
    """What of an readiness is worth a look at its Strategy; the words may hold figures that never rest."""
    return None if readiness is None else (readiness.reason, readiness.halted, readiness.flat)


class PodProbe:
    """Asks every bot that runs, round after round."""

    def __init__(self, enqueue: Callable[[str, str], None], port: int = HEALTH_PORT) -> None:
        self._enqueue = enqueue
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._running: dict[tuple[str, str], tuple[str, BotReadiness | None]] = {}

    async def __aenter__(self) -> PodProbe:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def probe_bot(self, namespace: str, name: str, pod: Object | None) -> BotReadiness | None:
        """The answer of the bot in this pod, which from now on is asked in every round; without a pod that
        runs, no more."""
        address = pod.get("status", {}).get("podIP") if pod is not None else None
        if pod is None or not address or "running" not in container_status(pod).get("state", {}):
            self._running.pop((namespace, name), None)
            return None
        readiness = await self._get(address)
        self._running[namespace, name] = (address, readiness)
        return readiness

    async def probe_run(self, address: str, port: int = PROGRESS_PORT) -> tuple[int, int] | None:
        """Rows done and rows in all of the backtest at this address; None where it does not say."""
        body = await self._read(address, port, "progress")
        return None if body is None else parse_progress(body)

    async def _get(self, address: str) -> BotReadiness | None:
        body = await self._read(address, self._port, "readyz")
        return None if body is None else parse_readiness(body)

    async def _read(self, address: str, port: int, page: str) -> str | None:
        assert self._session is not None
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{port}/{page}") as response:
                body = await response.content.read(MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None  # the kubelet says what is to be said of a pod that does not readiness
        return body.decode(errors="replace")

    async def probe_all(self) -> None:
        """Ask every bot once; wake the Strategies whose bot says something else than before."""
        limit = asyncio.Semaphore(CONCURRENCY)

        async def one(key: tuple[str, str], address: str, before: BotReadiness | None) -> None:
            async with limit:
                readiness = await self._get(address)
            if comparable(readiness) != comparable(before) and self._running.get(key) == (address, before):
                self._running[key] = (address, readiness)
                self._enqueue(*key)

        await asyncio.gather(*(one(key, *known) for key, known in list(self._running.items())))

    async def run(self) -> None:
        """Rounds for ever."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.probe_all()
