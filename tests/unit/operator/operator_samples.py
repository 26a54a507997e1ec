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
