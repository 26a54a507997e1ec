"""What the charts render, without a cluster: helm's own answer, looked at object by object."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from sigma_bot.version import VERSION
from sigma_operator.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
CHARTS = ROOT / "charts"
Object = dict[str, Any]
Render = Callable[..., list[Object]]

FEEDS = {"feeds": [{"venue": "upbit", "symbols": ["KRW-BTC"]}, {"venue": "binance"}]}
EXTERNAL = {
    "redis": {"enabled": False},
    "postgres": {"enabled": False},
    "externalRedis": {"bot": "rediss://bot:pw@r.example:6390/0", "feed": "rediss://feed:pw@r.example:6390/0"},
    "externalPostgres": {
        "owner": "postgresql://o:pw@p.example/x",
        "bot": "postgresql://b:pw@p.example:5433/x",
    },
}
S3 = {"enabled": True, "endpoint": "s3.example", "bucket": "b", "region": "r", "existingSecret": "keys"}
MATRIX: dict[str, Object] = {
    "defaults": {},
    "feeds": FEEDS,
    "external stores": EXTERNAL,
    "object store": {"postgres": {"archive": {"s3": {**S3, "encrypt": True}}}},
    "object store alone": {
        "postgres": {"archive": {"s3": S3, "volume": {"enabled": False, "type": "claim"}}}
    },
    "no archive": {"postgres": {"archive": {"enabled": False}}},
    "nothing kept": {
        **FEEDS,
        "feed": {"persistence": {"type": "emptyDir"}},
        "redis": {"persistence": {"type": "emptyDir"}},
        "postgres": {"persistence": {"type": "emptyDir"}, "archive": {"volume": {"type": "emptyDir"}}},
    },
    "claims of one's own": {
        "redis": {"persistence": {"type": "existingClaim", "existingClaim": "r"}},
        "postgres": {"persistence": {"type": "existingClaim", "existingClaim": "p"}},
    },
    "some namespaces": {"watchNamespaces": ["a", "b"], "desks": ["a", "b"]},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}]},
    "nothing optional": {
        "crds": {"install": False},
        "priorityClasses": {"create": False},
        "quota": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "monitoring": {"enabled": False},
    },
    "development": yaml.safe_load((CHARTS / "sigma-x" / "dev.yaml").read_text()),
}
MONITORING = ("monitoring.coreos.com/v1",)


@pytest.fixture(params=MATRIX, ids=str)
def objects(request: pytest.FixtureRequest, render: Render) -> list[Object]:
    return render(MATRIX[request.param], apis=MONITORING)


def of(objects: list[Object], kind: str, name: str = "") -> list[Object]:
    return [o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"])]


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Every object with pods, and their spec."""
    for found in objects:
        if found["kind"] == "Pod":
            yield found, found["spec"]
        elif found["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield found, found["spec"]["template"]["spec"]


def quantity(text: str) -> Decimal:
    number, unit = re.fullmatch(r"([0-9.]+)(m|Ki|Mi|Gi)?", str(text)).groups()
    factor = {"m": Decimal("0.001"), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
    return Decimal(number) * factor.get(unit, Decimal(1))


def test_every_container_is_restricted_and_limited(objects: list[Object]) -> None:
    assert list(pods(objects))
    for found, spec in pods(objects):
        where = f"{found['kind']} {found['metadata']['name']}"
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, where
        assert security["runAsUser"] == 65532, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert spec["enableServiceLinks"] is False, where
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), where
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, where
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), where
            assert quantity(resources["limits"]["memory"]) >= quantity(resources["requests"]["memory"]), where


def test_what_goes_on_has_probes(objects: list[Object]) -> None:
    for found, spec in pods(objects):
        if found["kind"] in ("Deployment", "StatefulSet"):
            for container in spec["containers"]:
                assert "livenessProbe" in container, container["name"]
                assert container["name"] == "backup" or "readinessProbe" in container, container["name"]


def test_only_the_operator_and_the_hook_have_a_token(objects: list[Object]) -> None:
    for found, spec in pods(objects):
        has = spec["automountServiceAccountToken"]
        assert has is (found["metadata"]["name"] in ("sigma-x-operator", "sigma-x-uninstall"))


def test_selectors_fit_their_pods(objects: list[Object]) -> None:
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_passwords_stand_in_secrets_only(objects: list[Object]) -> None:
    words = {
        value
        for found in of(objects, "Secret")
        for key, value in found["stringData"].items()
        if found["metadata"]["name"] in ("sigma-x-redis", "sigma-x-postgres")
    }
    rest = json.dumps([found for found in objects if found["kind"] != "Secret"])
    assert not [word for word in words if word in rest]


def told(objects: list[Object]) -> Settings:
    """What the operator makes of its environment."""
    (operator,) = of(objects, "Deployment", "sigma-x-operator")
    env = {e["name"]: e["value"] for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    return Settings.from_environment(env)


def test_the_operator_understands_what_it_is_told(objects: list[Object]) -> None:
    settings = told(objects)
    assert settings.bot.connections == "sigma-x-connections"
    assert bool(settings.bot.granter) is bool(of(objects, "Secret", "sigma-x-granter"))
    assert settings.bot.image == f"docker.io/sigma-x/sigma:{VERSION}"
    assert settings.backtest.priority_class == "sigma-backtest"
    assert bool(settings.backtest.results) is bool(of(objects, "Secret", "sigma-x-results"))
    assert all("to" in rule or "ports" in rule for rule in settings.bot.egress)


def test_a_desk_says_with_what_data_are_imported(objects: list[Object]) -> None:
    found = of(objects, "ConfigMap", "sigma-x-desk")
    logins = {c["metadata"]["namespace"] for c in of(objects, "Secret", "sigma-x-control")}
    for desk in found:
        assert desk["metadata"]["labels"]["app.kubernetes.io/component"] == "desk"
        assert desk["data"]["image"] == told(objects).backtest.image
        there = desk["metadata"]["namespace"] in logins
        assert desk["data"]["login"] == ("sigma-x-control" if there else "")
    assert found


def test_addresses_carry_the_passwords_of_the_same_rendering(render: Render) -> None:
    objects = render()
    secrets = {
        (s["metadata"]["name"], s["metadata"].get("namespace", "sigma")): s for s in of(objects, "Secret")
    }

    def data(name: str, namespace: str = "sigma") -> dict[str, str]:
        return dict(secrets[f"sigma-x-{name}", namespace]["stringData"])

    redis, postgres = data("redis"), data("postgres")
    assert len({*redis.values(), *postgres.values()}) == 8
    host = "sigma-x-postgres.sigma.svc:5432/sigma"
    for desk in ("sigma", "default"):
        redis_url = f"redis://bot:{redis['bot']}@sigma-x-redis.sigma.svc:6379/0"
        assert data("connections", desk) == {"redis-url": redis_url}
        for role in ("granter", "control"):
            assert data(role, desk)["database-url"] == f"postgresql://sigma_{role}:{postgres[role]}@{host}"
        assert f":{postgres['backtest']}@" in data("results", desk)["database-url"]
    assert f"feed:{redis['feed']}@" in data("feed")["redis-url"]
    assert f"sigma_owner:{postgres['owner']}@" in data("owner")["database-url"]
    assert not [word for word in redis.values() if word in data("redis-users")["users.acl"]], "hashes only"


def test_external_stores_replace_ours(render: Render) -> None:
    objects = render(EXTERNAL)
    assert not of(objects, "StatefulSet")
    (secret, _) = of(objects, "Secret", "sigma-x-connections")
    assert secret["stringData"]["redis-url"] == EXTERNAL["externalRedis"]["bot"]  # type: ignore[index]
    assert secret["stringData"]["database-url"] == EXTERNAL["externalPostgres"]["bot"]  # type: ignore[index]
    for name in ("results", "granter", "control"):
        assert not of(objects, "Secret", f"sigma-x-{name}")
    (bots, _) = of(objects, "NetworkPolicy", "sigma-x-bots")
    ports = {port["port"] for rule in bots["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 6390, 5433, 443}


def test_an_external_granter_takes_the_place_of_a_shared_login(render: Render) -> None:
    stores = EXTERNAL["externalPostgres"]
    granter = {"owner": stores["owner"], "granter": "postgresql://g:pw@p.example:5434/x"}  # type: ignore[index]
    objects = render({**EXTERNAL, "externalPostgres": granter})
    (secret, _) = of(objects, "Secret", "sigma-x-granter")
    assert secret["stringData"]["database-url"] == granter["granter"]
    (connections, _) = of(objects, "Secret", "sigma-x-connections")
    assert list(connections["stringData"]) == ["redis-url"]
    assert told(objects).bot.granter == "sigma-x-granter"
    assert told(render(EXTERNAL)).bot.granter == ""
    (bots, _) = of(objects, "NetworkPolicy", "sigma-x-bots")
    assert 5434 in {port["port"] for rule in bots["spec"]["egress"] for port in rule["ports"]}


def test_no_strategy_may_name_a_secret_of_the_release(objects: list[Object]) -> None:
    assert {s["metadata"]["name"] for s in of(objects, "Secret")} <= set(told(objects).bot.reserved)


def test_policies_say_who_reaches_what(render: Render) -> None:
    objects = render(FEEDS)
    (bots, _) = of(objects, "NetworkPolicy", "sigma-x-bots")
    (backtests, _) = of(objects, "NetworkPolicy", "sigma-x-backtests")
    (deny,) = of(objects, "NetworkPolicy", "sigma-x-deny")
    assert "egress" not in deny["spec"]
    assert "ingress" not in deny["spec"]
    assert deny["spec"]["policyTypes"] == ["Ingress", "Egress"]

    def ports(policy: Object) -> list[int]:
        return sorted({port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]})

    assert ports(bots) == [53, 443, 5432, 6379]
    assert ports(backtests) == [53, 5432]
    (asked,) = backtests["spec"]["ingress"]  # the operator, how far they are; nobody else
    assert asked["ports"] == [{"protocol": "TCP", "port": 8080}]
    (asking,) = asked["from"]
    assert asking["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    venues = next(rule for rule in bots["spec"]["egress"] if rule["ports"][0]["port"] == 443)
    assert "169.254.0.0/16" in venues["to"][0]["ipBlock"]["except"], "the cloud's metadata service"
    denied = deny["spec"]["podSelector"]["matchLabels"].items()
    for found, _ in pods(objects):
        template = found if found["kind"] == "Pod" else found["spec"]["template"]
        assert denied <= template["metadata"]["labels"].items(), found["metadata"]["name"]


def test_the_operators_policy_opens_no_more_than_the_charts(render: Render) -> None:
    """Rules of several policies for one pod add up."""
    narrow = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    objects = render({**FEEDS, "networkPolicy": {"venues": narrow}})
    (bots, _) = of(objects, "NetworkPolicy", "sigma-x-bots")
    bot = told(objects).bot
    assert list(bot.egress) == bots["spec"]["egress"]
    assert [{"from": list(bot.ingress), "ports": [{"protocol": "TCP", "port": 8080}]}] == bots["spec"][
        "ingress"
    ]
    (venues,) = [rule for rule in bot.egress if rule["ports"][0]["port"] == 443]
    assert venues["to"] == narrow


def test_stores_let_in_desks_only(render: Render) -> None:
    objects = render({**FEEDS, "desks": ["desk"], "emulator": {"enabled": True}})
    for name in ("redis", "postgres", "emulator"):
        (policy,) = of(objects, "NetworkPolicy", f"sigma-x-{name}")
        (rule,) = policy["spec"]["ingress"]
        peers = [peer["namespaceSelector"] for peer in rule["from"] if "namespaceSelector" in peer]
        listed = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["desk", "sigma"]}
        assert peers[:2] == [
            {"matchExpressions": [listed]},
            {"matchLabels": {"sigma-x.io/desk": "true"}},
        ], name
        assert all(peer["podSelector"] for peer in rule["from"])


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://e.test:9000/x", 9000), ("http://e.test", 80), ("https://e.test/api", 443)],
)
def test_a_venue_by_address_is_reached_at_its_port(render: Render, url: str, port: int) -> None:
    rules = told(render({**FEEDS, "bot": {"venueUrl": url}})).bot.egress
    assert rules[-1]["ports"] == [{"protocol": "TCP", "port": port}]
    assert {"namespaceSelector": {}} in rules[-1]["to"]


def test_an_emulator_takes_the_place_of_venues(render: Render) -> None:
    objects = render({"emulator": {"enabled": True}, **FEEDS})
    (service,) = of(objects, "Service", "sigma-x-emulator")
    (operator,) = of(objects, "Deployment", "sigma-x-operator")
    env = {e["name"]: e["value"] for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    url = "http://sigma-x-emulator.sigma.svc:9000"
    assert service["spec"]["ports"][0]["port"] == 9000
    assert Settings.from_environment(env).bot.venue_url == url
    (feed,) = of(objects, "StatefulSet", "sigma-x-feed-upbit")
    assert {"name": "SIGMA_VENUE_URL", "value": url} in feed["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]
    for name in ("sigma-x-bots", "sigma-x-feed"):
        egress = of(objects, "NetworkPolicy", name)[0]["spec"]["egress"]
        assert any(port["port"] == 9000 for rule in egress for port in rule["ports"]), name
    assert not of(render(FEEDS), "Service", "sigma-x-emulator")


def test_live_goes_before_sim_before_backtests(render: Render) -> None:
    value = {c["metadata"]["name"]: c["value"] for c in of(render(), "PriorityClass")}
    assert value["sigma-data"] > value["sigma-live"] > value["sigma-sim"] > 0 > value["sigma-backtest"]
    (quota, _) = of(render(), "ResourceQuota")
    (scope,) = quota["spec"]["scopeSelector"]["matchExpressions"]
    assert scope["values"] == ["sigma-backtest"]


def test_definitions_are_those_of_the_types_and_stay(render: Render) -> None:
    shipped = {o["metadata"]["name"]: o for o in of(render(), "CustomResourceDefinition")}
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        own = yaml.safe_load(path.read_text())
        found = shipped.pop(own["metadata"]["name"])
        assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert found == own
    assert not shipped
    (free, _) = of(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in free["metadata"]


def test_monitors_only_where_the_cluster_knows_them(render: Render) -> None:
    assert not of(render(), "PodMonitor")
    monitors = of(render(apis=MONITORING), "PodMonitor")
    assert {m["metadata"]["name"] for m in monitors} == {"sigma-x-operator", "sigma-x-feeds", "sigma-x-bots"}


@pytest.mark.parametrize(
    ("values", "field", "right"),
    [
        ({"feeds": [{"venue": "upbit", "symbol": "X"}]}, "/feeds/0", "'symbol' not allowed"),
        ({"feeds": [{"venue": "kraken"}]}, "/feeds/0/venue", "'upbit', 'bithumb', 'binance'"),
        ({"feeds": [{"symbols": []}]}, "/feeds/0", "missing property 'venue'"),
        (
            {"feeds": [{"venue": "upbit", "symbols": ["krw-btc"]}]},
            "/feeds/0/symbols/0",
            "does not match pattern",
        ),
        ({"desk": ["x"]}, "''", "'desk' not allowed"),
        ({"desks": ["A"]}, "/desks/0", "does not match pattern"),
        ({"watchNamespaces": ["a", "a"]}, "/watchNamespaces", "are equal"),
        ({"image": {"repository": ""}}, "/image/repository", "minLength"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy", "'IfNotPresent'"),
        ({"backtest": {"retries": 50}}, "/backtest/retries", "20"),
        ({"backtest": {"scratch": "lots"}}, "/backtest/scratch", "does not match pattern"),
        ({"bot": {"venueUrl": "localhost:9000"}}, "/bot/venueUrl", "does not match pattern"),
        ({"bot": {"resources": {"limits": None}}}, "/bot/resources", "missing property 'limits'"),
        ({"quota": {"hard": {"pods": 20}}}, "/quota/hard/pods", "want string"),
        ({"redis": {"enabled": False}}, "/externalRedis/bot", "minLength"),
        ({"postgres": {"enabled": False}}, "/externalPostgres/owner", "minLength"),
        ({"externalRedis": {"bot": "http://x"}}, "/externalRedis/bot", "does not match pattern"),
        ({"redis": {"maxmemory": "1 GB"}}, "/maxmemory", "does not match pattern"),
        ({"redis": {"persistence": {"type": "disk"}}}, "/persistence/type", "'emptyDir'"),
        ({"redis": {"persistence": {"type": "existingClaim"}}}, "/persistence/existingClaim", "minLength"),
        ({"postgres": {"archive": {"timeout": 0}}}, "/archive/timeout", "5"),
        ({"postgres": {"archive": {"s3": {"enabled": True}}}}, "/archive/s3/endpoint", "minLength"),
        ({"postgres": {"restore": {"target": "yesterday"}}}, "/restore/target", "does not match pattern"),
        ({"postgres": {"archive": {"volume": {"enabled": False}}}}, "postgres.archive", "enable one of them"),
        ({"monitoring": {"interval": "often"}}, "/monitoring/interval", "does not match pattern"),
        ({"priorityClasses": {"live": {"value": 2000000000}}}, "/priorityClasses/live/value", "maximum"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(
    render: Render, chart_error: type[Exception], values: Object, field: str, right: str
) -> None:
    with pytest.raises(chart_error) as refusal:
        render(values)
    assert field in str(refusal.value)
    assert right in str(refusal.value)


@pytest.mark.parametrize("chart", ["redis", "postgres"])
def test_a_data_store_installs_by_itself(render: Render, chart: str) -> None:
    (store,) = of(render(chart=chart), "StatefulSet")
    assert store["metadata"]["name"] == f"sigma-x-{chart}"


def test_the_readmes_list_every_value() -> None:
    found = importlib.util.spec_from_file_location("values_table", CHARTS / "values_table.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    for chart in ("sigma-x", "redis", "postgres"):
        readme = (CHARTS / chart / "README.md").read_text("utf-8")
        assert tool.written(CHARTS / chart) == readme, "run: python charts/values_table.py"
        values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
        listed = {
            path.split(".")[0] for path, _, _ in tool.rows((CHARTS / chart / "values.yaml").read_text())
        }
        assert listed == set(values)


def budget(objects: list[Object]) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    """Name, cores asked for, bytes asked for, most bytes, of what runs for good and of a day's bots."""
    rows = []
    for found, spec in pods(objects):
        if found["kind"] in ("Deployment", "StatefulSet"):
            for container in spec["containers"]:
                asked, most = container["resources"]["requests"], container["resources"]["limits"]
                name = f"{found['metadata']['name']}/{container['name']}"
                rows.append(
                    (name, quantity(asked["cpu"]), quantity(asked["memory"]), quantity(most["memory"]))
                )
    values = yaml.safe_load((CHARTS / "sigma-x" / "values.yaml").read_text())
    for name, count, key in (("10 LIVE bots", 10, "liveResources"), ("30 SIM bots", 30, "resources")):
        asked, most = values["bot"][key]["requests"], values["bot"][key]["limits"]
        one = quantity(asked["cpu"]), quantity(asked["memory"]), quantity(most["memory"])
        rows.append((name, *(count * value for value in one)))  # type: ignore[arg-type]
    hard = values["quota"]["hard"]
    two = 2 * quantity(values["backtest"]["resources"]["requests"]["cpu"])
    one_run = values["backtest"]["resources"]
    asked_memory = 2 * quantity(one_run["requests"]["memory"])
    rows.append(("2 backtests", two, asked_memory, 2 * quantity(one_run["limits"]["memory"])))
    assert 2 * quantity(one_run["limits"]["memory"]) <= quantity(hard["limits.memory"])
    # k3s itself with containerd and CoreDNS, as its documentation measures it.
    rows.append(("k3s and Linux", Decimal("0.4"), Decimal(2**30) * Decimal("1.6"), Decimal(2**30) * 2))
    return rows


def test_the_whole_fits_the_server(render: Render, capsys: pytest.CaptureFixture[str]) -> None:
    """4 vCPU, 16 GB: everything at once, and every container at its limit but the backtests', whom the kernel
    ends first."""
    rows = budget(render({"feeds": [{"venue": "upbit"}, {"venue": "binance"}]}))
    giga = Decimal(2**30)
    with capsys.disabled():
        print(f"\n{'':32}{'CPU':>6}{'asked':>9}{'most':>9}  GiB")
        for name, cpu, asked, most in rows:
            print(f"{name:32}{cpu:6.2f}{asked / giga:9.2f}{most / giga:9.2f}")
        cpu, asked, most = (sum((row[n] for row in rows), Decimal(0)) for n in (1, 2, 3))  # type: ignore[assignment]
        print(f"{'together':32}{cpu:6.2f}{asked / giga:9.2f}{most / giga:9.2f}")
    memory = Decimal("16e9") / giga
    assert cpu <= 4
    assert asked / giga <= memory
    assert sum(row[3] for row in rows if row[0] != "2 backtests") / giga <= memory


def test_generated_passwords_are_long(render: Render) -> None:
    (secret,) = of(render(), "Secret", "sigma-x-postgres")
    for word in secret["stringData"].values():
        assert re.fullmatch(r"[A-Za-z0-9]{32}", word)
        assert base64.b64encode(word.encode())


def test_hashes_are_quoted() -> None:
    """Sixteen digits, or an `e` among them, would else be a number, which the API server refuses: rarely."""
    lines = [line for path in CHARTS.glob("*/templates/*.yaml") for line in path.read_text().splitlines()]
    hashed = [line for line in lines if "sha256sum" in line]
    assert len(hashed) >= 2
    assert [line for line in hashed if "| quote }}" not in line] == []
