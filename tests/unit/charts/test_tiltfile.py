"""The Tiltfile, run by a Starlark interpreter. Tilt's functions are replaced by ones with the same parameters
(Tilt's API reference) that write down what they are called with. Every path, stage and value named exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

starlark = pytest.importorskip("starlark", reason="the Starlark interpreter is not installed")

ROOT = Path(__file__).resolve().parents[3]
Calls = list[tuple[str, dict[str, Any]]]


def documented(calls: Calls) -> dict[str, Callable[..., Any]]:
    """Tilt's functions by name, as far as the Tiltfile may use them."""

    def note(called: str, /, **given: Any) -> dict[str, Any]:
        calls.append((called, given))
        return {"call": called, **given}

    def version_settings(check_updates: bool = True, constraint: str = "") -> None:
        note("version_settings", constraint=constraint)

    def fall_back_on(files: str | list[str]) -> Any:
        return note("fall_back_on", files=files)

    def sync(local_path: str, remote_path: str) -> Any:
        return note("sync", local_path=local_path, remote_path=remote_path)

    def docker_build(
        ref: str,
        context: str,
        build_args: Any = None,
        dockerfile: str = "Dockerfile",
        dockerfile_contents: str = "",
        live_update: Any = (),
        match_in_env_vars: bool = False,
        ignore: Any = (),
        only: Any = (),
        entrypoint: Any = (),
        target: str = "",
        ssh: Any = "",
        network: str = "",
        secret: Any = "",
        extra_tag: Any = "",
        container_args: Any = None,
        cache_from: Any = (),
        pull: bool = False,
        platform: str = "",
    ) -> None:
        note(
            "docker_build",
            ref=ref,
            context=context,
            dockerfile=dockerfile,
            target=target,
            only=only,
            live_update=live_update,
        )

    def k8s_custom_deploy(
        name: str,
        apply_cmd: Any,
        delete_cmd: Any,
        deps: Any,
        image_selector: str = "",
        live_update: Any = (),
        apply_dir: str = "",
        apply_env: Any = None,
        apply_cmd_bat: Any = "",
        delete_dir: str = "",
        delete_env: Any = None,
        delete_cmd_bat: Any = "",
        container_selector: str = "",
        image_deps: Any = (),
    ) -> None:
        note(
            "k8s_custom_deploy",
            name=name,
            apply_cmd=apply_cmd,
            delete_cmd=delete_cmd,
            deps=deps,
            image_deps=image_deps,
        )

    def k8s_resource(
        workload: str = "",
        new_name: str = "",
        port_forwards: Any = (),
        extra_pod_selectors: Any = (),
        trigger_mode: Any = None,
        resource_deps: Any = (),
        objects: Any = (),
        auto_init: bool = True,
        pod_readiness: str = "",
        links: Any = (),
        labels: Any = (),
        discovery_strategy: str = "",
    ) -> None:
        note("k8s_resource", workload=workload, labels=labels)

    def local_resource(
        name: str,
        cmd: Any = "",
        deps: Any = None,
        trigger_mode: Any = None,
        resource_deps: Any = (),
        ignore: Any = (),
        auto_init: bool = True,
        serve_cmd: Any = "",
        cmd_bat: Any = "",
        serve_cmd_bat: Any = "",
        allow_parallel: bool = False,
        links: Any = (),
        labels: Any = (),
        env: Any = None,
        serve_env: Any = None,
        readiness_probe: Any = None,
        dir: str = "",
        serve_dir: str = "",
    ) -> None:
        note("local_resource", name=name, serve_cmd=serve_cmd, resource_deps=resource_deps, labels=labels)

    functions = (
        version_settings,
        fall_back_on,
        sync,
        docker_build,
        k8s_custom_deploy,
        k8s_resource,
        local_resource,
    )
    return {function.__name__: function for function in functions}


def execute(text: str) -> Calls:
    calls: Calls = []
    module = starlark.Module()
    for name, function in documented(calls).items():
        module.add_callable(name, function)
    dialect = starlark.Dialect.extended()
    dialect.enable_top_level_stmt = True
    starlark.eval(module, starlark.parse("Tiltfile", text, dialect), starlark.Globals.standard())
    return calls


@pytest.fixture(scope="module")
def calls() -> Calls:
    return execute((ROOT / "Tiltfile").read_text())


def named(calls: Calls, name: str) -> list[dict[str, Any]]:
    return [given for called, given in calls if called == name]


def chart_value(path: str) -> Any:
    values = yaml.safe_load((ROOT / "charts" / "sigma-x" / "values.yaml").read_text())
    store, _, rest = path.partition(".")
    if store in ("redis", "postgres"):
        values, path = yaml.safe_load((ROOT / "charts" / store / "values.yaml").read_text()), rest
    for step in path.split("."):
        values = values[step]
    return values


def test_every_path_and_stage_exists(calls: Calls) -> None:
    builds = named(calls, "docker_build")
    assert len(builds) == 6
    for build in builds:
        dockerfile = ROOT / build["dockerfile"]
        stages = re.findall(r"^FROM .* AS (\S+)$", dockerfile.read_text(), re.M)
        assert not build["target"] or build["target"] in stages, build
        copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", dockerfile.read_text(), re.M)
        for source in " ".join(copied).split():
            assert (ROOT / source).exists(), source
            assert any(source.startswith(path) for path in build["only"]), (
                f"{build['ref']} is not given {source}"
            )
        for path in build["only"]:
            assert (ROOT / path).exists(), path
    for step in named(calls, "sync"):
        assert (ROOT / step["local_path"]).is_dir()
    (deploy,) = named(calls, "k8s_custom_deploy")
    assert all((ROOT / path).exists() for path in deploy["deps"])


def test_code_goes_to_where_the_development_image_runs_it(calls: Calls) -> None:
    reload = (ROOT / "bot" / "sigma_bot" / "container" / "reload.py").read_text()
    (copy,) = re.findall(r'Path\("(/tmp/[^"]+)"\)', reload)
    for step in named(calls, "sync"):
        package = Path(step["local_path"]).name
        assert step["remote_path"] == f"{copy}/{package}"
    live = [build for build in named(calls, "docker_build") if build["live_update"]]
    assert {build["target"] for build in live} == {"sigma-dev", "live-dev", "feed-dev"}


def test_the_chart_gets_every_image_that_is_built(calls: Calls) -> None:
    (deploy,) = named(calls, "k8s_custom_deploy")
    assert set(deploy["image_deps"]) == {build["ref"] for build in named(calls, "docker_build")}
    set_to = dict(
        re.findall(r'--set-string (\S+)\.repository="\$\{TILT_IMAGE_(\d+)%:\*\}"', deploy["apply_cmd"])
    )
    tags = dict(re.findall(r'--set-string (\S+)\.tag="\$\{TILT_IMAGE_(\d+)##\*:\}"', deploy["apply_cmd"]))
    assert set_to == tags
    assert len(set_to) == len(deploy["image_deps"])
    for value, number in set_to.items():
        assert chart_value(value)["repository"] == deploy["image_deps"][int(number)]
    assert "--values charts/sigma-x/dev.yaml" in deploy["apply_cmd"]


def test_everything_has_a_group_and_waits_for_the_chart(calls: Calls) -> None:
    (deploy,) = named(calls, "k8s_custom_deploy")
    resources = named(calls, "local_resource")
    assert {"operator-logs", "feed-logs", "bot-logs", "postgres-port", "emulator-port"} <= {
        resource["name"] for resource in resources
    }
    for resource in resources:
        assert resource["labels"]
        assert resource["resource_deps"] == [deploy["name"]]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("docker_build('x')", "context"),
        ("docker_build('x', '.', dockerfle='y')", "dockerfle"),
        ("k8s_yaml('x')", "k8s_yaml"),
        ("restart_container()", "restart_container"),
    ],
)
def test_the_interpreter_sees_a_wrong_call(line: str, complaint: str) -> None:
    with pytest.raises(starlark.StarlarkError, match=complaint):
        execute(line)
