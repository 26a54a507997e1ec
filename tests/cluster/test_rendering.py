"""Whatever a valid manifest says, the API server takes it and every object that is made of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from sigma_operator.backtest import render
from sigma_operator.settings import BacktestSettings, BotSettings
from sigma_operator.strategy import render as render_bot
from tests.cluster.api import ApiError, Object
from tests.cluster.onenode.client import Client
from tests.cluster.test_manifests import BASES, defined

__all__ = ["defined"]

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
amounts = st.decimals("0.01", "999999999", places=2).map(lambda d: format(d, "f"))
fractions = st.decimals("0.001", "1", places=3).map(lambda d: format(d, "f"))
durations = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 59), st.sampled_from(["s", "m"]))
values = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), st.floats(-1e9, 1e9))
codes = st.text(min_size=1, max_size=300).filter(lambda text: "\x00" not in text)
pods = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["ghcr.io/me/bot:1.2", "bot", "r.example:5000/a/b@sha256:" + "a" * 64]),
        "cpu": st.sampled_from(["20m", "1", "16"]),
        "memory": st.sampled_from(["64Mi", "3Gi"]),
    },
)
strategies = st.fixed_dictionaries(
    {"code": codes},
    optional={
        "class": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True),
        "params": st.dictionaries(
            st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True), values, max_size=8
        ),
    },
)
limits = st.fixed_dictionaries(
    {"maxPosition": amounts, "maxNotional": amounts, "staleAfter": durations},
    optional={"maxDrawdown": fractions, "priceCollar": fractions, "maxOpenOrders": st.integers(1, 128)},
)
# All of one quote currency, or of none that the name tells: one account counts in one.
symbols = st.from_regex(r"[A-Z0-9][A-Z0-9._/-]{0,16}/KRW|[A-Z0-9]{1,5}", fullmatch=True)
markets = st.lists(
    st.fixed_dictionaries(
        {"symbol": symbols},
        optional={
            "tickSize": amounts,
            "lotSize": amounts,
            "fees": st.fixed_dictionaries({"minimum": amounts}),
        },
    ),
    min_size=1,
    max_size=16,
    unique_by=lambda market: market["symbol"],  # type: ignore[arg-type, return-value]
)
common = {"strategy": strategies, "markets": markets, "risk": limits}


@st.composite
def bots(draw: st.DrawFn) -> Object:
    """A Strategy, every other one with real money."""
    live, name, loss = draw(st.booleans()), draw(names), draw(amounts)
    spec = {key: draw(value) for key, value in common.items()}
    spec["risk"]["maxDailyLoss"] = loss  # type: ignore[index]
    spec["account"] = {"venue": draw(st.sampled_from(["upbit", "bithumb", "binance"])), "name": name}
    if live or draw(st.booleans()):
        spec["account"]["secretRef"] = {"name": draw(names)}  # type: ignore[index]
    if live:
        spec["mode"] = "live"
        spec["account"]["confirm"] = {"account": name, "maxLoss": loss}  # type: ignore[index]
    spec["swapPolicy"] = draw(st.sampled_from(["drain", "adopt", "flatten"]))
    spec["deletionPolicy"] = draw(st.sampled_from(["leave", "cancel", "flatten"]))
    spec |= {"bot": draw(pods), "suspend": draw(st.booleans())}  # type: ignore[arg-type]
    return resource("Strategy", draw(names), spec)


jobs = st.fixed_dictionaries(
    {},
    optional={
        "deadline": durations,
        "ttl": durations,
        "retries": st.integers(0, 10),
        "dataClaim": names,
    },
)
sweeps = st.none() | st.fixed_dictionaries(
    {"parameters": st.dictionaries(st.sampled_from(["fast", "slow"]), st.just("2:9"), min_size=1)},
    optional={"shards": st.integers(1, 64), "trials": st.integers(1, 1000), "minimise": st.booleans()},
)
runs = st.builds(
    lambda name, spec, job, sweep: resource(
        "Backtest",
        name,
        spec | {"job": job, "data": {"source": "sample"}} | ({"sweep": sweep} if sweep else {}),
    ),
    names,
    st.fixed_dictionaries(common),
    st.builds(lambda job, pod: job | pod, jobs, pods),
    sweeps,
)


def resource(kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "uid": "0a5d6a0e-1111-4222-8333-444455556666"},
        "spec": spec,
    }


def take(cluster: Client, documents: list[Object]) -> None:
    """Dry-run them all."""
    for document in documents:
        try:
            cluster.api.create(document, "default", dry_run=True)
        except ApiError as refusal:
            note(f"{document['kind']}: {refusal.message}")
            raise


modest = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@modest
@given(manifest=bots())
@example(manifest=BASES["live"] | {"metadata": resource("Strategy", "live", {})["metadata"]})
def test_objects_of_a_strategy(defined: Client, manifest: Object) -> None:
    strategy = render_bot.parse_strategy(manifest)
    settings = BotSettings(venue_url="http://emulator.test:9000", pull_secrets=("pull",))
    take(
        defined,
        [
            manifest,
            render_bot.config_map(manifest, strategy),
            render_bot.network_policy(manifest, settings),
            render_bot.stateful_set(manifest, strategy, settings, 1),
            render_bot.close_job(manifest, strategy, settings, "flatten", "closes"),
        ],
    )


@modest
@given(manifest=runs)
def test_objects_of_a_backtest(defined: Client, manifest: Object) -> None:
    settings = BacktestSettings(pull_secrets=("pull",), results="results")
    made = [manifest, *render.children(manifest, settings)]
    take(defined, made if "sweep" not in manifest["spec"] else [*made, render.merge_job(manifest, settings)])


@pytest.mark.parametrize("suspend", [True, False])
def test_a_suspended_backtest(defined: Client, suspend: bool) -> None:
    manifest = resource("Backtest", "waits", BASES["backtest"]["spec"] | {"suspend": suspend})
    made = render.children(manifest, BacktestSettings())
    assert ("suspend" in made[-1]["spec"]) is suspend
    take(defined, made)
