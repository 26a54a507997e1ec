"""Stored runs as documents: one run's head, two runs compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigma_bot.results.records import StoredRun


def summary(run: StoredRun) -> dict[str, Any]:
    """The head of a run for JSON."""
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "name": run.name,
        "created": _iso(run.created),
        "version": run.version,
        "strategy": run.strategy,
        "params": run.params,
        "start": _iso(run.start_time),
        "end": _iso(run.end_time),
        "currency": run.currency,
        "initial_cash": run.initial_cash,
        "final_equity": run.final_equity,
        "engine": run.engine,
        "digest": run.digest,
        "digests": run.digests,
        "metrics": run.metrics,
    }


def comparison(left: StoredRun, right: StoredRun) -> dict[str, Any]:
    """What `compare` says, as JSON: ``same`` per digest, and every value that differs as a pair."""
    digests = ("code", "manifest", "data")
    metrics = _metric_names(left, right)
    return {
        "runs": [summary(left), summary(right)],
        "same": {"result": left.digest == right.digest}
        | {name: left.digests.get(name) == right.digests.get(name) for name in digests},
        "params": _differences(left.params, right.params),
        "manifest": _differences(_flat(left.manifest), _flat(right.manifest)),
        "metrics": {name: [left.metrics.get(name), right.metrics.get(name)] for name in metrics},
    }


def _metric_names(left: StoredRun, right: StoredRun) -> list[str]:
    """Metrics of either run, in the order of a report."""
    from sigma_bot.metrics.definitions import DEFINITIONS

    held = left.metrics.keys() | right.metrics.keys()
    return [name for name in DEFINITIONS if name in held] + sorted(held - DEFINITIONS.keys())


def _differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = list(dict.fromkeys([*left, *right]))
    return {name: [left.get(name), right.get(name)] for name in names if left.get(name) != right.get(name)}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """A nested document as dotted paths, without the parameters, which are compared by themselves."""
    return {name: leaf for name, leaf in _leaves(value, path) if not name.startswith("spec.strategy.params")}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _iso(time: Any) -> str:
    return str(time.isoformat()).replace("+00:00", "Z")
