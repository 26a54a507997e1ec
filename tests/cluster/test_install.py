"""The chart from nothing to Ready, and what must outlive upgrades, kills, lost disks and its own removal.

On a node of its own: these tests uninstall what the others use.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.onenode.client import Client, existing
from tests.cluster.onenode.cluster import Cluster, claim
from tests.cluster.onenode.images import EVERY
from tests.cluster.onenode.processes import pod_processes
from tests.cluster.onenode.tools import ROOT, prepare
from tests.cluster.strategies import is_ready

pytestmark = pytest.mark.skipif(
    existing() is not None, reason="would uninstall what an existing cluster runs"
)
RELEASE, NAMESPACE = "sigma-x", "sigma"
IN = ("-n", NAMESPACE)
CHART = ROOT / "charts" / "sigma-x"
# A minute is what ships; a test need not wait for it.
VALUES = ("--set", "postgres.archive.timeout=5", "--wait", "--timeout=600s")


def upgrade(cluster: Client, *values: str) -> float:
    """Install or upgrade, and the seconds until everything was Ready."""
    began = time.monotonic()
    try:
        cluster.helm("upgrade", "--install", RELEASE, CHART, *IN, *VALUES, *values)
    except subprocess.CalledProcessError as problem:
        pods = cluster.kubectl("get", "pods", *IN, "-o", "wide")
        pytest.fail(f"helm: {problem.stderr}\n{pods}")
    return time.monotonic() - began


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    own = Cluster(claim("install"), prepare())
    own.down()  # one that a killed run left half-way
    own.up(*EVERY, bound=True)
    try:
        own.kubectl("create", "namespace", NAMESPACE)
        own.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        print(f"helm install from nothing to Ready: {upgrade(own):.1f} s")
        yield own
    finally:
        own.down()


def sql(cluster: Client, text: str, role: str = "") -> str:
    """The answer of psql: as the superuser inside the pod, or as a role with its password."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text]
    if role:
        word = secret(cluster, f"{RELEASE}-postgres")[role]
        command.append(f"postgresql://sigma_{role}:{word}@127.0.0.1/sigma")
    else:
        command.append("postgresql://postgres@/sigma?host=/run/postgresql")
    return cluster.kubectl("exec", *IN, f"{RELEASE}-postgres-0", "-c", "postgres", "--", *command).strip()


def redis(cluster: Client, role: str, *command: str) -> str:
    user = ("--user", role, "--pass", secret(cluster, f"{RELEASE}-redis")[role], "--no-auth-warning")
    return cluster.kubectl("exec", *IN, f"{RELEASE}-redis-0", "--", "redis-cli", *user, *command).strip()


def secret(cluster: Client, name: str) -> dict[str, str]:
    found = cluster.api.get(f"secret/{name}", NAMESPACE)["data"]
    return {key: base64.b64decode(value).decode() for key, value in found.items()}


def uid(cluster: Client, pod: str) -> str:
    return str(cluster.api.get(f"pod/{pod}", NAMESPACE)["metadata"]["uid"])


def ready(cluster: Client, pod: str, not_uid: str = "") -> bool:
    """Whether the pod is Ready and another one than that."""
    found = cluster.api.find(f"pod/{pod}", NAMESPACE)
    return found is not None and is_ready(found) and found["metadata"]["uid"] != not_uid


def kill(cluster: Cluster, pod: str) -> str:
    """Take a pod away without a word, as a power cut would; its uid. Its processes must not be there any more
    when the next pod opens their volume."""
    was = uid(cluster, pod)
    cluster.kubectl("delete", "pod", pod, *IN, "--grace-period=0", "--force", "--wait=false")
    for process in pod_processes(cluster.cgroup):
        if process.pod == was:
            process.kill()
    return was


def test_its_own_test_passes(node: Cluster) -> None:
    output = node.helm("test", RELEASE, *IN, "--logs")
    assert "a bot reads and writes what is its own" in output
    assert "makes none" in output


def test_the_namespace_refuses_what_is_not_restricted(node: Cluster) -> None:
    labels = node.api.get(f"namespace/{NAMESPACE}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        node.kubectl("run", "free", *IN, "--image=localhost/none", "--dry-run=server")
    assert "violates PodSecurity" in refusal.value.stderr


def test_an_upgrade_without_change_keeps_passwords_and_pods(node: Cluster) -> None:
    pods = (f"{RELEASE}-redis-0", f"{RELEASE}-postgres-0")
    secrets = ("redis", "postgres", "redis-users", "connections", "granter", "owner")
    before = {name: secret(node, f"{RELEASE}-{name}") for name in secrets}, [uid(node, p) for p in pods]
    upgrade(node)
    after = {name: secret(node, f"{RELEASE}-{name}") for name in secrets}, [uid(node, p) for p in pods]
    assert after == before


def test_redis_keeps_its_data_over_a_kill(node: Cluster) -> None:
    pod = f"{RELEASE}-redis-0"
    redis(node, "feed", "XADD", "sigma.ticks.upbit", "7-0", "p", "payload")
    assert redis(node, "operator", "WAITAOF", "1", "0", "60000").split() == ["1", "0"]
    was = kill(node, pod)
    node.wait_until(lambda: ready(node, pod, was), "Redis does not come back")
    assert "payload" in redis(node, "bot", "XRANGE", "sigma.ticks.upbit", "7-0", "7-0")


@pytest.mark.parametrize(
    ("role", "command", "allowed"),
    [
        ("bot", "XRANGE sigma.ticks.upbit - + COUNT 1", True),
        ("bot", "XADD sigma.ticks.upbit * p forged", False),
        ("bot", "DEL sigma.ticks.upbit", False),
        ("bot", "PUBLISH sigma.bot.a x", True),
        ("bot", "PUBLISH foreign x", False),
        ("bot", "HSET sigma.want:ticks bot BTC", True),
        ("bot", "SET foreign x", False),
        ("bot", "CONFIG SET appendonly no", False),
        ("bot", "FLUSHALL", False),
        ("bot", "KEYS *", False),
        ("bot", "ACL LIST", False),
        ("feed", "XADD sigma.ticks.binance 1-0 p x", True),
        ("feed", "SET sigma.bot.a x", False),
        ("feed", "SHUTDOWN NOSAVE", False),
        ("operator", "SET sigma.bot.a x", True),
        ("operator", "CONFIG GET dir", False),
    ],
)
def test_rights_in_redis(node: Cluster, role: str, command: str, allowed: bool) -> None:
    assert ("NOPERM" not in redis(node, role, *command.split())) is allowed


def test_redis_without_a_password_only_pings(node: Cluster) -> None:
    run = ("exec", *IN, f"{RELEASE}-redis-0", "--", "redis-cli")
    assert node.kubectl(*run, "PING").strip() == "PONG"
    assert "NOPERM" in node.kubectl(*run, "GET", "x")


def test_postgres_keeps_its_data_over_a_kill(node: Cluster) -> None:
    pod = f"{RELEASE}-postgres-0"
    sql(node, "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('before the kill')", "owner")
    was = kill(node, pod)
    began = time.monotonic()
    node.wait_until(lambda: ready(node, pod, was), "PostgreSQL does not come back")
    print(f"postgres killed to Ready: {time.monotonic() - began:.1f} s")
    assert sql(node, "SELECT what FROM kept", "owner") == "before the kill"


@pytest.mark.parametrize(
    ("role", "statement", "refusal"),
    [
        ("granter", "SELECT count(*) FROM orders", "permission denied for table orders"),
        ("granter", "SET ROLE sigma_owner", "permission denied to set role"),
        ("granter", "GRANT sigma_owner TO sigma_granter", "permission denied to grant role"),
        ("granter", "CREATE TABLE mine (x int)", "permission denied for schema public"),
        ("control", "SELECT count(*) FROM orders", ""),
        ("control", "DELETE FROM controls", "permission denied for table controls"),
        ("control", "UPDATE leases SET holder = ''", "permission denied for table leases"),
        ("backtest", "SELECT count(*) FROM runs", ""),
        ("backtest", "SELECT version_num FROM sigma_version", ""),
        ("backtest", "SELECT count(*) FROM orders", "permission denied for table orders"),
        ("backtest", "SELECT count(*) FROM leases", "permission denied for table leases"),
        ("backtest", "DELETE FROM runs", "permission denied for table runs"),
        ("reader", "SELECT count(*) FROM orders", ""),
        ("reader", "DELETE FROM runs", "read-only transaction"),
        ("reader", "BEGIN READ WRITE; DELETE FROM runs", "permission denied for table"),
        ("owner", "CREATE ROLE other", "permission denied to create role"),
    ],
)  # fmt: skip
def test_rights_in_postgres(node: Cluster, role: str, statement: str, refusal: str) -> None:
    if not refusal:
        sql(node, statement, role)
        return
    with pytest.raises(subprocess.CalledProcessError) as error:
        sql(node, statement, role)
    assert refusal in error.value.stderr


# Run in a bot's container, as its strategy could: what it can get hold of.
PRYING = """
import asyncio, asyncpg, json, os, pathlib

async def main():
    connection = await asyncpg.connect(pathlib.Path(os.environ["SIGMA_DATABASE_URL_FILE"]).read_text())
    rows = await connection.fetch("SELECT name FROM bots")
    await connection.close()
    folders = [pathlib.Path(name) for name in ("/run/sigma", "/run/secrets", "/var/run/secrets")]
    files = [str(found) for folder in folders for found in folder.rglob("*") if found.is_file()]
    words = " ".join(os.environ.values())
    print(json.dumps({"bots": [row[0] for row in rows], "files": files, "words": words}))

asyncio.run(main())
"""


def test_a_bot_reaches_its_own_account_only(node: Cluster) -> None:
    """Two bots of two accounts: each gets a login, and finds neither the other's rows nor the granter."""
    for name in ("one", "two"):
        manifest = json.loads(strategy())
        manifest["metadata"] = {"name": name}
        manifest["spec"]["account"]["name"] = name
        manifest["spec"]["deletionPolicy"] = "leave"
        node.kubectl("apply", "-n", "default", "-f", "-", stdin=json.dumps(manifest))

    seen: dict[str, dict[str, Any]] = {}

    def found(name: str) -> bool:
        command = ("exec", f"{name}-0", "-c", "bot", "-n", "default", "--", "python", "-c", PRYING)
        seen[name] = dict(json.loads(node.try_kubectl(*command) or "{}"))
        return bool(seen[name].get("bots"))

    granter = secret(node, f"{RELEASE}-granter")["database-url"]
    for name in ("one", "two"):
        node.wait_until(lambda name=name: found(name), f"bot {name} does not come up")  # type: ignore[misc]
        reached = seen[name]
        assert reached["bots"] == [f"default/{name}"]
        assert reached["files"] == ["/run/sigma/database-url"]
        assert granter not in reached["words"]
    assert sql(node, "SELECT count(*) FROM bots", "control") == "2"
    for name in ("one", "two"):
        node.kubectl("delete", f"strategy/{name}", "-n", "default", "--timeout=120s")


def write(cluster: Client, statement: str) -> str:
    """Run an INSERT or DELETE on `kept` as the owner; the name of the segment it went to."""
    return sql(
        cluster, f"{statement} RETURNING pg_walfile_name(pg_current_wal_insert_lsn())", "owner"
    ).split()[0]


def archived(cluster: Client, segment: str) -> bool:
    return sql(cluster, "SELECT coalesce(max(last_archived_wal), '') FROM pg_stat_archiver") >= segment


def test_the_archive_follows_what_is_written(node: Cluster) -> None:
    segment = write(node, "INSERT INTO kept VALUES ('archived')")
    began = time.monotonic()
    node.wait_until(lambda: archived(node, segment), "the segment does not reach the archive")
    print(f"written to archived, at a timeout of 5 s: {time.monotonic() - began:.1f} s")
    check = ("pgbackrest", "--stanza=sigma", "check")
    node.kubectl("exec", *IN, f"{RELEASE}-postgres-0", "-c", "backup", "--", *check)


def first_backup(cluster: Client) -> bool:
    info = ("pgbackrest", "--stanza=sigma", "info", "--output=json")
    output = cluster.kubectl("exec", *IN, f"{RELEASE}-postgres-0", "-c", "backup", "--", *info)
    return any(stanza["backup"] for stanza in json.loads(output))


def lose_the_disk(cluster: Cluster) -> float:
    """Take the data volume and the pod; the seconds until PostgreSQL is Ready on a new one."""
    pod = f"{RELEASE}-postgres-0"
    cluster.kubectl("delete", "pvc", f"data-{pod}", *IN, "--wait=false")
    was = kill(cluster, pod)
    began = time.monotonic()
    cluster.wait_until(
        lambda: ready(cluster, pod, was), "PostgreSQL does not come back from the archive", 300
    )
    return time.monotonic() - began


def test_a_lost_data_volume_is_restored_from_the_archive(node: Cluster) -> None:
    node.wait_until(lambda: first_backup(node), "no backup was made")
    segment = write(node, "INSERT INTO kept VALUES ('before the disk was lost')")
    node.wait_until(lambda: archived(node, segment), "it is not archived")
    print(f"postgres, data volume lost, to Ready: {lose_the_disk(node):.1f} s")
    assert "before the disk was lost" in sql(node, "SELECT what FROM kept", "owner")


def test_restores_to_a_moment_and_keeps_what_it_replaces(node: Cluster) -> None:
    sql(node, "INSERT INTO kept VALUES ('before the mistake')", "owner")
    moment = sql(node, "SELECT date_trunc('milliseconds', clock_timestamp())")
    node.wait_until(
        lambda: sql(node, f"SELECT clock_timestamp() > '{moment}'::timestamptz + interval '1 s'") == "t", ""
    )
    segment = write(node, "DELETE FROM kept")
    node.wait_until(lambda: archived(node, segment), "it is not archived")
    values = (
        "--set-string",
        "postgres.restore.id=drill",
        "--set-string",
        f"postgres.restore.target={moment}",
    )
    print(f"postgres, to a moment, to Ready: {upgrade(node, *values):.1f} s")
    assert "before the mistake" in sql(node, "SELECT what FROM kept", "owner")
    assert "before-" in node.kubectl(
        "exec", *IN, f"{RELEASE}-postgres-0", "-c", "postgres", "--", "ls", "/data"
    )


def test_a_disk_lost_after_a_restore_comes_back_whole(node: Cluster) -> None:
    """The values still name the moment; it is not gone back to, neither by a restart nor on a new disk."""
    segment = write(node, "INSERT INTO kept VALUES ('after the restore')")
    node.wait_until(lambda: archived(node, segment), "it is not archived")
    was = kill(node, f"{RELEASE}-postgres-0")
    node.wait_until(lambda: ready(node, f"{RELEASE}-postgres-0", was), "PostgreSQL does not come back")
    assert "after the restore" in sql(node, "SELECT what FROM kept", "owner")
    lose_the_disk(node)
    assert "after the restore" in sql(node, "SELECT what FROM kept", "owner")


def test_the_settings_of_an_object_store_are_understood(node: Cluster) -> None:
    """No such store is at hand; pgBackRest gets as far as asking for it, with our file."""
    given = {
        "enabled": True,
        "endpoint": "127.0.0.1:1",
        "bucket": "b",
        "region": "r",
        "existingSecret": "keys",
    }
    values = ("--set-json", f"archive.s3={json.dumps({**given, 'encrypt': True})}")
    shown = ("--show-only", "templates/configuration.yaml")
    rendered = yaml.safe_load(node.helm("template", RELEASE, ROOT / "charts" / "postgres", *values, *shown))
    words = "PGBACKREST_REPO2_S3_KEY=k PGBACKREST_REPO2_S3_KEY_SECRET=s PGBACKREST_REPO2_CIPHER_PASS=p"
    command = (
        f"{words} pgbackrest --config=/tmp/s3.conf --stanza=sigma --repo=2 --io-timeout=1 info --output=json"
    )
    target = ("exec", "-i", *IN, f"{RELEASE}-postgres-0", "-c", "backup", "--", "sh", "-c")
    configuration = rendered["data"]["pgbackrest.conf"]
    output = node.kubectl(*target, f"cat > /tmp/s3.conf; {command}", stdin=configuration)
    assert "unable to connect to '127.0.0.1:1'" in output
    assert '"code":99' in output, "by this a start on an empty volume knows that the archive does not answer"


@pytest.mark.parametrize("namespace", [NAMESPACE, "default"])
@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "pods"),
        ("create", "pods"),
        ("create", "jobs.batch"),
        ("get", "strategies.sigma-x.io"),
        ("patch", "strategies.sigma-x.io"),
        ("get", "configmaps"),
    ],
)
def test_bots_feeds_and_jobs_may_do_nothing(node: Cluster, namespace: str, verb: str, resource: str) -> None:
    assert not node.api.may(f"system:serviceaccount:{namespace}:default", verb, resource, namespace)


def test_no_pod_but_the_operators_has_a_token(node: Cluster) -> None:
    with_token = {
        pod["metadata"]["name"]
        for pod in node.api.list("pod", NAMESPACE)
        for volume in pod["spec"]["volumes"]
        if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", []))
    }
    assert all("operator" in name for name in with_token)
    assert with_token


def strategy() -> str:
    manifest = yaml.safe_load((ROOT / "examples" / "ema-cross" / "strategy.yaml").read_text())
    manifest["metadata"]["finalizers"] = ["sigma-x.io/close"]
    return json.dumps(manifest)


def test_uninstall_leaves_nothing_stuck_and_nothing_lost(node: Cluster) -> None:
    node.kubectl("apply", "-n", "default", "-f", "-", stdin=strategy())
    node.helm("uninstall", RELEASE, *IN, "--wait", "--timeout=600s")
    node.kubectl("get", "strategy/ema-cross", "-n", "default")  # kept, with its definition
    node.kubectl("delete", "strategy/ema-cross", "-n", "default", "--timeout=120s")
    left = ("get", "all,secrets,networkpolicies,resourcequotas", *IN, "-o", "name")
    node.wait_until(lambda: not node.kubectl(*left), "something is left")
    assert node.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").count(RELEASE) == 0
    print(f"reinstalled over the same data: {upgrade(node):.1f} s")
    assert "after the restore" in sql(node, "SELECT what FROM kept", "owner")
    assert "payload" in redis(node, "bot", "XRANGE", "sigma.ticks.upbit", "7-0", "7-0")
    node.helm("test", RELEASE, *IN)


def test_a_deleted_namespace_is_not_stuck(node: Cluster) -> None:
    node.kubectl("apply", "-n", "default", "-f", "-", stdin=strategy())
    node.helm("uninstall", RELEASE, *IN, "--wait", "--timeout=600s")
    node.kubectl("delete", "strategy/ema-cross", "-n", "default", "--timeout=120s")
    node.kubectl("delete", "namespace", NAMESPACE, "--timeout=300s")
