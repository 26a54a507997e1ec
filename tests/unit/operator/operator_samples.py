"""Resources and pods as the API server would hand them out."""

from __future__ import annotations

import json
from typing import Any

UID = "0a5d6a0e-1111-4222-8333-444455556666"
NOW = "2026-01-02T03:04:05Z"
RESULT = {
    "digest": "d" * 64,
    "engine": "compiled",
    "events": 1000,
    "seconds": {"run": 0.25},
    "metrics": {"total_return": 0.5, "sharpe": None, "fees": "12.50"},
    "counts": {"orders": 4},
}


def resource() -> dict[str, Any]:
    """A Backtest as it was applied."""
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "ema", "namespace": "desk", "uid": UID, "generation": 1},
        "spec": {
            "strategy": {"code": "class A: pass\n", "params": {"fast": 3}},
            "markets": [{"symbol": "GOOG"}],
            "data": {"source": "sample"},
            "report": {"html": "report.html"},
        },
    }


def job(kind: str = "", reason: str = "") -> dict[str, Any]:
    """A Job that runs, or with this condition."""
    conditions = [{"type": kind, "status": "True", "reason": reason, "message": "as the Job says"}]
    return {
        "metadata": {"name": "ema", "uid": "job-uid"},
        "status": {"startTime": NOW, "conditions": conditions if kind else []},
    }


def pod(created: str = NOW, **state: Any) -> dict[str, Any]:
    """A pod whose container is in this state."""
    return {
        "metadata": {"name": f"ema-{created}", "creationTimestamp": created},
        "status": {"containerStatuses": [{"name": "backtest", "state": state}]},
    }


def ended(code: int, document: object | None = None, reason: str = "Error") -> dict[str, Any]:
    """A container's end, with what it left as its message."""
    message = "" if document is None else json.dumps(document)
    return {"exitCode": code, "reason": reason, "message": message}


def strategy_resource(status: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Strategy as it was applied."""
    out: dict[str, Any] = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": "ema", "namespace": "desk", "uid": UID, "generation": 1},
        "spec": {
            "strategy": {"code": "class A: pass\n", "params": {"fast": 3}},
            "markets": [{"symbol": "KRW-BTC", "rules": "upbit"}],
            "account": {"venue": "upbit", "name": "main", "currency": "KRW", "cash": "100000"},
        },
    }
    return out if status is None else out | {"status": status}


def bot_pod(revision: str = "aaaaaaaaaa", ready: bool = False, **container: Any) -> dict[str, Any]:
    """A bot's pod; `container` are fields of its container's status."""
    status: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    if container:
        status["containerStatuses"] = [{"name": "bot", "image": "s:1", **container}]
    return {
        "metadata": {
            "name": "ema-0",
            "namespace": "desk",
            "uid": "pod-uid",
            "creationTimestamp": NOW,
            "labels": {"sigma-x.io/revision": revision},
        },
        "spec": {"nodeName": "one"},
        "status": status,
    }
