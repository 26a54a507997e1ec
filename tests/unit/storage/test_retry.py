"""Who waits for a database that can't be reached yet."""

from __future__ import annotations

import asyncio

import pytest

from sigma_bot.database.errors import StorageError, UnreachableError
from sigma_bot.database.retry import retry_while_starting


class Server:
    """Refuses some times, then answers."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return "answer"


def test_in_a_pod_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    server = Server(UnreachableError("refused"), UnreachableError("refused"))
    assert asyncio.run(retry_while_starting(server.ask)) == "answer"
    assert server.asked == 3


def test_elsewhere_the_user_hears_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    server = Server(UnreachableError("refused"))
    with pytest.raises(UnreachableError):
        asyncio.run(retry_while_starting(server.ask))
    assert server.asked == 1


def test_an_answer_that_is_no_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    server = Server(StorageError("password authentication failed"))
    with pytest.raises(StorageError, match="password"):
        asyncio.run(retry_while_starting(server.ask))
    assert server.asked == 1
