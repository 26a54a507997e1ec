"""kubectl and helm against one cluster, and how an image gets into it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from onenode.tools import HERE, SetupError, clients

PLUGIN = HERE.parent.parent / "operator" / "kubectl-sigma"


class Client:
    """A cluster seen through the two programs."""

    def __init__(self, kubeconfig: Path, kubectl: Path, helm: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl_program = kubectl
        self.helm_program = helm

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

    def import_image(self, archive: Path) -> None:
        """Bring an image archive onto the node."""
        raise NotImplementedError

    def down(self) -> None:
        """End the cluster, if it is ours to end."""


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
