"""One cluster through kubectl, helm and its API, and how an image gets into it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.cluster.onenode.images import Image, build_image
from tests.cluster.onenode.tools import ROOT, SetupError, clients

if TYPE_CHECKING:
    from tests.cluster.api import Api

PLUGIN = ROOT / "operator" / "kubectl-sigma"
T = TypeVar("T")


class Client:
    """A cluster seen through the two programs, and by its API."""

    def __init__(self, kubeconfig: Path, kubectl: Path, helm: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl_program = kubectl
        self.helm_program = helm

    @cached_property
    def api(self) -> Api:
        """The API server, for tests of what it holds; what kubectl itself does is tested with kubectl."""
        from tests.cluster.api import Api

        return Api(self.kubeconfig)

    def wait_until(self, holds: Callable[[], T], what: str | Callable[[], str], timeout: float = 120) -> T:
        """What `holds` answers once that is true; fails with `what` after `timeout` seconds."""
        return self.api.wait_until(holds, what, timeout)

    def kubectl(self, *arguments: object, stdin: str | None = None) -> str:
        """What kubectl prints. Raises CalledProcessError with its complaint in `stderr`."""
        return self._run(self.kubectl_program, arguments, stdin)

    def try_kubectl(self, *arguments: object) -> str:
        """Like kubectl, but an empty answer where it fails."""
        try:
            return self.kubectl(*arguments)
        except subprocess.CalledProcessError:
            return ""

    def helm(self, *arguments: object) -> str:
        """What helm prints. Raises CalledProcessError with its complaint in `stderr`."""
        return self._run(self.helm_program, arguments, None)

    def sigma(self, *arguments: object) -> str:
        """What `kubectl sigma` prints. Raises CalledProcessError with its complaint in `stderr`."""
        return self._run(PLUGIN, arguments, None)

    def _run(self, program: Path, arguments: Sequence[object], stdin: str | None) -> str:
        path = f"{self.kubectl_program.parent}:{os.environ['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, text=True, check=True, capture_output=True, env=environment
        )
        return done.stdout

    def import_images(self, *images: Image) -> None:
        """Bring images onto the node, built anew where their inputs have changed."""
        for image in images:
            self.import_image(build_image(image))

    def import_image(self, archive: Path) -> None:
        """Bring an image archive onto the node."""
        raise NotImplementedError

    def down(self) -> None:
        """End the cluster, if it is ours to end."""
        if api := self.__dict__.pop("api", None):
            api.close()


class Existing(Client):
    """A cluster of the user's. SIGMA_IMAGE_IMPORT is his command that takes an image archive."""

    def import_image(self, archive: Path) -> None:
        """Hand the archive to the user's command."""
        command = os.environ.get("SIGMA_IMAGE_IMPORT")
        if not command:
            raise SetupError('set SIGMA_IMAGE_IMPORT, for example "k3s ctr images import"')
        subprocess.run([*shlex.split(command), str(archive)], check=True)


def existing() -> Existing | None:
    """The cluster that SIGMA_KUBECONFIG names, or None."""
    path = os.environ.get("SIGMA_KUBECONFIG")
    if not path:
        return None
    programs = clients()
    return Existing(Path(path), programs / "kubectl", programs / "helm")
