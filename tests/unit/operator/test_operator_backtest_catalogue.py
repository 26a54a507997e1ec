"""Where a Backtest's pod finds the catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from sigma_operator.backtest.reconcile import BacktestReconciler
from sigma_operator.backtest.render import children, merge_job
from sigma_operator.settings import BacktestSettings, Settings

Object = dict[str, Any]


@pytest.mark.parametrize(
    ("options", "claim", "place"),
    [
        ({}, "", {"secretKeyRef": {"name": "results", "key": "database-url", "optional": False}}),
        ({"dataClaim": "mine"}, "", "/data"),
        ({"dataConfigMap": "mine"}, "", "/data"),
        ({}, "everybody", "/data"),
    ],
)
def test_the_catalogue_is_in_the_database_when_nothing_lies_at_data(
    backtest: Object, options: Object, claim: str, place: object
) -> None:
    backtest["spec"]["data"] = {"source": "catalogue", "path": "upbit/KRW-BTC"}
    backtest["spec"]["job"] = options
    backtest["spec"]["sweep"] = {"parameters": {"fast": "2:9"}, "shards": 3}
    settings = BacktestSettings(results="results", data_claim=claim)
    for made in (children(backtest, settings)[1], merge_job(backtest, settings)):
        variables = {v["name"]: v for v in made["spec"]["template"]["spec"]["containers"][0]["env"]}
        told = variables["SIGMA_DATA"]
        assert told.get("value", told.get("valueFrom")) == place


def test_other_sources_are_not_told_of_the_database(backtest: Object) -> None:
    (container,) = children(backtest, BacktestSettings(results="results"))[1]["spec"]["template"]["spec"][
        "containers"
    ]
    assert "SIGMA_DATA" not in {v["name"] for v in container["env"]}


def test_a_catalogue_that_is_nowhere_is_refused(backtest: Object) -> None:
    backtest["spec"]["data"] = {"source": "catalogue"}
    reconciler = BacktestReconciler(None, Settings(), None)  # type: ignore[arg-type]
    observed = reconciler._validate(backtest, None)
    assert observed is not None
    assert (observed.phase, observed.reason) == ("Failed", "BadInput")
    assert "spec.data.source" in observed.message
    assert "spec.job.dataClaim" in observed.message
    reconciler.settings = Settings(backtest=BacktestSettings(results="results"))
    assert reconciler._validate(backtest, None) is None
