"""Container images as archives that containerd imports: the project's own by buildah, tiny ones written
here."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sigma_bot.version import VERSION
from tests.cluster.onenode.config import COREDNS_IMAGE, PAUSE_IMAGE
from tests.cluster.onenode.tools import CACHE, ROOT, Tools, cached, content_key, run, say

ARCHIVES = CACHE / "images"
BASE = "docker.io/library/debian:trixie-slim"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What "slim" leaves out; the licences stay.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
KEPT_ARCHIVES = 3
KEPT = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")


@dataclass(frozen=True)
class Image:
    """One image of the project: its name, the paths, from the top, that go into it beside `images/<folder>`,
    and the stage of the Dockerfile there, where it is not the last."""

    name: str
    inputs: tuple[str, ...]
    folder: str = ""
    stage: str = ""

    @property
    def reference(self) -> str:
        return f"docker.io/sigma-x/{self.name}:{VERSION}"


CODE = ("bot/sigma_bot", "operator/sigma_operator")
SBOM = "images/sbom.sh"
SIGMA = Image("sigma", ("requirements/bot.lock", "requirements/operator.lock", SBOM, *CODE), stage="sigma")
LIVE = Image("sigma-live", ("requirements/live.lock", SBOM, *CODE), folder="sigma", stage="live")
FEED = Image(
    "sigma-feed",
    ("requirements/live.lock", "requirements/backtest.lock", SBOM, *CODE),
    folder="sigma",
    stage="feed",
)
BACKTEST = Image("backtest", ("requirements/backtest.lock", "bot/sigma_bot", "examples", SBOM))
REDIS = Image("redis", (SBOM,))
POSTGRES = Image("postgres", (SBOM,))
EVERY = (SIGMA, LIVE, FEED, BACKTEST, REDIS, POSTGRES)


def write_archive(target: Path, reference: str, layer: Path, config: dict[str, object]) -> None:
    """A docker-archive of one image with one layer, the uncompressed tar file `layer`."""
    digest = hashlib.sha256()
    with layer.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "history": [{"created_by": "onenode"}],  # buildah counts one entry a layer
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as archive:
        for name, document in (("config.json", image), ("manifest.json", manifest)):
            data = json.dumps(document).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        archive.add(layer, "layer.tar")


def program_image(reference: str, program: Path, names: tuple[str, ...]) -> Path:
    """An image that holds one static program under each of `names`, and nothing else."""

    def build(fresh: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            layer = Path(scratch) / "layer.tar"
            with tarfile.open(layer, "w") as tar:
                tar.add(program, names[0])
                for other in names[1:]:
                    link = tarfile.TarInfo(other)
                    link.type, link.linkname, link.mode = tarfile.LNKTYPE, names[0], 0o755
                    tar.addfile(link)
            write_archive(fresh, reference, layer, {"Entrypoint": [f"/{names[0]}"]})

    key = content_key(program, Path(__file__), reference, *names)
    archive = cached(ARCHIVES / f"{names[0]}-{key}.tar", build)
    archive.touch()
    remove_stale(names[0])
    return archive


def node_images(tools: Tools) -> list[Path]:
    """What every node needs before its first pod runs."""
    return [
        program_image(PAUSE_IMAGE, tools.pause, ("pause", "volume")),
        program_image(COREDNS_IMAGE, tools.coredns, ("coredns",)),
    ]


def base_archive() -> Path:
    """Debian trixie-slim under its public tag, from Debian's packages: no image registry is needed."""

    def build(fresh: Path) -> None:
        say("building the base image")
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            layer = Path(scratch) / "layer.tar"
            options = [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
            options += [f"--dpkgopt=path-include={path}" for path in KEPT]
            run("mmdebstrap", "--mode=root", "--variant=minbase", *options, "trixie", layer)
            write_archive(
                fresh, BASE, layer, {"Cmd": ["bash"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}
            )
        say(f"built the base image in {time.monotonic() - began:.0f} s")

    return cached(ARCHIVES / f"trixie-slim-{content_key(*EXCLUDED, *KEPT)}.tar", build)


def buildah(*arguments: str | Path) -> None:
    """Run buildah with storage of its own under the cache. Chroot isolation works on machines where crun
    fails."""
    store = CACHE / "buildah"
    run("buildah", "--root", store / "root", "--runroot", store / "run", *arguments)


def base_present() -> bool:
    store = CACHE / "buildah"
    command = [
        "buildah",
        "--root",
        str(store / "root"),
        "--runroot",
        str(store / "run"),
        "inspect",
        "--type=image",
        BASE,
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def remove_stale(name: str) -> None:
    """Remove all archives of that image but those used last: each is large, and few branches are worked on at
    a time."""
    archives = ARCHIVES.glob(f"{name}-{'[0-9a-f]' * 16}.tar")
    for stale in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_ARCHIVES:]:
        stale.unlink(missing_ok=True)


def build_image(image: Image) -> Path:
    """Build the image from its Dockerfile, the one that ships; the archive is cached by the content of its
    inputs."""
    folder = ROOT / "images" / (image.folder or image.name)
    base = base_archive()
    inputs = content_key(folder, *(ROOT / path for path in image.inputs), base.name)
    tag = (
        f"localhost/sigma-x/{image.name}:{inputs}"  # of this content: other checkouts build at the same time
    )

    def build(fresh: Path) -> None:
        say(f"building image {image.name}")
        began = time.monotonic()
        if not base_present():
            buildah("pull", f"docker-archive:{base}")
        options: list[str] = ["--isolation", "chroot", "--network", "host", "--pull-never", "--layers"]
        if (
            CERTIFICATES.exists()
        ):  # a machine behind a proxy has certificates of its own; they don't enter the image
            options += ["--secret", f"id=certificates,src={CERTIFICATES}"]
        ignore = folder / "Dockerfile.dockerignore"
        options += [
            "--ignorefile",
            str(ignore),
            "--file",
            str(folder / "Dockerfile"),
            "--tag",
            tag,
            "--build-arg",
            f"VERSION={VERSION}",
        ]
        if image.stage:
            options += ["--target", image.stage]
        buildah("bud", *options, ROOT)
        say(f"built image {image.name} in {time.monotonic() - began:.0f} s")
        buildah("push", tag, f"docker-archive:{fresh}:{image.reference}")

    archive = cached(ARCHIVES / f"{image.name}-{inputs}.tar", build)
    archive.touch()
    remove_stale(image.name)
    return archive
