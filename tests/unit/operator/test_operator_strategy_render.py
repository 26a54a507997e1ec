"""A Strategy as the objects that run its bot."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.spec import parse_manifest
from sigma_operator.settings import BotSettings
from sigma_operator.strategy import render
from tests.unit.operator.operator_samples import strategy_resource

Object = dict[str, Any]
LIVE = {
    "mode": "live",
    "risk": {"maxPosition": "1", "maxNotional": "5", "maxDailyLoss": "3", "staleAfter": "5s"},
}


@pytest.fixture
def resource() -> Object:
    return strategy_resource()


def live() -> Object:
    resource = strategy_resource()
    resource["spec"] |= LIVE
    resource["spec"]["account"] |= {
        "secretRef": {"name": "keys"},
        "confirm": {"account": "main", "maxLoss": "3"},
    }
    return resource


def pod_of(resource: Object, **options: Any) -> Object:
    made = render.stateful_set(resource, render.parse_strategy(resource), BotSettings(**options), 1)
    found: Object = made["spec"]["template"]["spec"]
    return found


def environment(pod: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in pod["containers"][0]["env"]}


def test_there_is_one_trader_and_nothing_rolls_by_itself(resource: Object) -> None:
    made = render.stateful_set(resource, render.parse_strategy(resource), BotSettings(), 1)
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert made["spec"]["podManagementPolicy"] == "OrderedReady"


def test_keys_are_files_and_never_variables() -> None:
    pod = pod_of(live())
    (keys,) = [volume for volume in pod["volumes"] if volume["name"] == "keys"]
    assert keys["secret"]["secretName"] == "keys"
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "keys"]
    assert mount == {"name": "keys", "mountPath": "/run/secrets/sigma", "readOnly": True}
    variables = environment(pod)
    assert variables["SIGMA_KEYS_DIR"]["value"] == "/run/secrets/sigma"
    secrets = [v["valueFrom"]["secretKeyRef"]["name"] for v in variables.values() if "valueFrom" in v]
    assert "keys" not in secrets


def test_sim_has_no_keys(resource: Object) -> None:
    pod = pod_of(resource)
    assert "SIGMA_KEYS_DIR" not in environment(pod)
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "scratch"}


def test_the_bot_is_told_where_and_what_it_is(resource: Object) -> None:
    pod = pod_of(resource, connections="desk", venue_url="http://emulator:9000")
    variables = environment(pod)
    assert variables["MODE"]["value"] == "sim"
    assert variables["SIGMA_VENUE_URL"]["value"] == "http://emulator:9000"
    assert variables["SIGMA_SWAP"]["value"] == "adopt"
    assert variables["SIGMA_REVISION"]["value"] == render.revision_hash(render.parse_strategy(resource))
    reference = variables["SIGMA_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "desk", "key": "database-url"}
    container = pod["containers"][0]
    assert [*container["command"], *container["args"]] == [
        "sigma-app",
        "--config",
        "/etc/sigma/strategy.yaml",
    ]


def test_a_login_is_made_beside_the_bot_and_apart_from_it() -> None:
    """The granter's Secret is met by one container, of the installation's image, which runs no strategy."""
    resource = live()
    resource["spec"]["bot"] = {"image": "ghcr.io/me/bot:2"}
    pod = pod_of(resource, granter="grants", live_image="l", connections="desk")
    (login,) = pod["initContainers"]
    assert login["image"] == "l"
    assert login["command"][2:] == [
        *(
            "sigma_bot.schema.granting",
            "desk",
            "desk/ema",
            "live",
            "upbit",
            "main",
            "/run/sigma/database-url",
        )
    ]
    assert [v["valueFrom"]["secretKeyRef"]["name"] for v in login["env"]] == ["grants"]
    assert login["securityContext"] == pod["containers"][0]["securityContext"]
    assert [mount["name"] for mount in login["volumeMounts"]] == ["login"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "login"]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert "grants" not in json.dumps([pod["containers"], pod["volumes"]])
    (bot_,) = pod["containers"]
    assert {"name": "login", "mountPath": "/run/sigma", "readOnly": True} in bot_["volumeMounts"]
    variables = environment(pod)
    assert variables["SIGMA_DATABASE_URL_FILE"]["value"] == "/run/sigma/database-url"
    assert "SIGMA_DATABASE_URL" not in variables
    closing = render.close_job(
        resource, render.parse_strategy(resource), BotSettings(granter="grants"), "flatten", "x"
    )
    assert closing["spec"]["template"]["spec"]["initContainers"][0]["name"] == "login"


def test_without_a_granter_bots_share_a_login(resource: Object) -> None:
    pod = pod_of(resource)
    assert "initContainers" not in pod
    assert "SIGMA_DATABASE_URL_FILE" not in environment(pod)


def test_a_secret_of_the_installation_is_nobodys_keys(resource: Object) -> None:
    settings = BotSettings(reserved=("grants",))
    assert render.validate(render.parse_strategy(live()), settings) == ""
    assert render.validate(render.parse_strategy(resource), settings) == ""
    named = live()
    named["spec"]["account"]["secretRef"] = {"name": "grants"}
    assert "spec.account.secretRef.name: 'grants'" in render.validate(render.parse_strategy(named), settings)


def test_live_goes_before_sim(resource: Object) -> None:
    options = {"priority_class": "low", "live_priority_class": "high", "image": "s", "live_image": "l"}
    assert pod_of(resource, **options)["priorityClassName"] == "low"
    assert pod_of(live(), **options)["priorityClassName"] == "high"
    assert pod_of(resource, **options)["containers"][0]["image"] == "s"
    assert pod_of(live(), **options)["containers"][0]["image"] == "l"


def test_pod_meets_the_restricted_standard(resource: Object) -> None:
    pod = pod_of(resource)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    inner = pod["containers"][0]["securityContext"]
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}


def test_its_own_image_and_size_come_first(resource: Object) -> None:
    resource["spec"]["bot"] = {"image": "ghcr.io/me/bot:2", "cpu": "2", "memory": "1Gi"}
    container = pod_of(resource)["containers"][0]
    assert container["image"] == "ghcr.io/me/bot:2"
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"memory": "1Gi"},
    }


def test_the_bot_reads_what_was_applied(resource: Object) -> None:
    config = render.config_map(resource, render.parse_strategy(resource))
    read = parse_manifest(json.loads(config["data"][render.MANIFEST]))
    assert read.spec == render.parse_strategy(resource).spec
    assert (read.metadata.name, read.metadata.namespace) == ("ema", "desk")
    pod = pod_of(resource)
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert config["immutable"] is True


@pytest.mark.parametrize(
    ("path", "value", "another"),
    [
        ("suspend", True, False),
        ("deletionPolicy", "flatten", False),
        ("swapPolicy", "drain", False),
        ("timeframes", [], False),  # a default written out
        ("strategy.code", "class B: pass\n", True),
        ("strategy.params", {"fast": 5}, True),
        ("risk", {"maxDrawdown": "0.1"}, True),
        ("bot", {"memory": "1Gi"}, True),
    ],
)
def test_what_is_another_revision(resource: Object, path: str, value: object, another: bool) -> None:
    before = render.revision_hash(render.parse_strategy(resource))
    changed = copy.deepcopy(resource)
    at = changed["spec"]
    *steps, last = path.split(".")
    for step in steps:
        at = at[step]
    at[last] = value
    assert (render.revision_hash(render.parse_strategy(changed)) != before) is another


def test_a_bad_resource_is_refused_with_its_field(resource: Object) -> None:
    resource["spec"]["strategy"]["params"] = {"fast": ["12"]}
    with pytest.raises(BadInputError, match=r"spec\.strategy\.params\.fast"):
        render.parse_strategy(resource)


def test_network_leads_to_the_stores_the_venue_and_nowhere_else(resource: Object) -> None:
    spec = render.network_policy(resource, BotSettings())["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"] == {"matchLabels": {"sigma-x.io/strategy": "ema"}}
    ports = [sorted({port["port"] for port in rule["ports"]}) for rule in spec["egress"]]
    assert ports == [[53], [5432, 6379], [443]]
    (block,) = spec["egress"][2]["to"]
    assert "169.254.0.0/16" in block["ipBlock"]["except"]


def test_network_is_what_the_chart_says_and_no_more(resource: Object) -> None:
    rules = [{"to": [{"podSelector": {"matchLabels": {"app": "redis"}}}], "ports": [{"port": 6379}]}]
    watchers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    settings = BotSettings(egress=tuple(rules), ingress=tuple(watchers), venue_url="http://e.test:9000")
    spec = render.network_policy(resource, settings)["spec"]
    assert spec["egress"] == rules
    assert spec["ingress"] == [{"from": watchers, "ports": [{"protocol": "TCP", "port": 8080}]}]


def test_the_closing_job_does_what_the_policy_says_with_the_bots_rights() -> None:
    resource = live()
    job = render.close_job(
        resource, render.parse_strategy(resource), BotSettings(close_deadline=9), "flatten", "ema-close"
    )
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][-2:] == ["--close", "flatten"]
    assert job["spec"]["activeDeadlineSeconds"] == 9
    assert pod["restartPolicy"] == "Never"
    assert any(volume["name"] == "keys" for volume in pod["volumes"])
    labels = job["spec"]["template"]["metadata"]["labels"]
    selector = render.stateful_set(resource, render.parse_strategy(resource), BotSettings(), 1)["spec"][
        "selector"
    ]
    assert not selector["matchLabels"].items() <= labels.items(), (
        "the StatefulSet must not take it for its pod"
    )
