"""A namespace to work in: a cluster seen through it, opened as the chart opens one, and taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tests.cluster.onenode.client import Client

if TYPE_CHECKING:
    from tests.cluster.api import Api, Object

RELEASE = "sigma"  # the namespace of the chart
SECRETS = ("connections", "granter", "control")
T = TypeVar("T")


class Namespace:
    """One namespace of a cluster: what names no other one is asked of it and applied to it."""

    def __init__(self, cluster: Client, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @property
    def api(self) -> Api:
        """The API server."""
        return self.cluster.api

    def kubectl(self, *arguments: object, stdin: str | None = None) -> str:
        """What kubectl prints. Raises CalledProcessError with its complaint in `stderr`."""
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)

    def try_kubectl(self, *arguments: object) -> str:
        """Like kubectl, but an empty answer where it fails."""
        return self.cluster.try_kubectl("-n", self.name, *arguments)

    def sigma(self, *arguments: object) -> str:
        """What `kubectl sigma` prints. Raises CalledProcessError with its complaint in `stderr`."""
        return self.cluster.sigma("-n", self.name, *arguments)

    def apply(self, *manifests: Object) -> None:
        """Apply them all at once."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def get(self, what: str) -> Object:
        """The object `kind/name` as it is now. Raises NotFound when there is none."""
        return self.api.get(what, self.name)

    def find(self, what: str) -> Object | None:
        """The object `kind/name` as it is now, or None."""
        return self.api.find(what, self.name)

    def list(self, kind: str, labels: str = "", fields: str = "") -> list[Object]:
        """All objects of a kind that the selectors choose."""
        return self.api.list(kind, self.name, labels, fields)

    def wait_until(self, holds: Callable[[], T], what: str | Callable[[], str], timeout: float = 120) -> T:
        """What `holds` answers once that is true; fails with `what` after `timeout` seconds."""
        return self.api.wait_until(holds, what, timeout)

    def open(self) -> None:
        """Create it, enforcing the restricted standard, with all that Kubernetes itself puts into one. It
        is younger than the chart, so the Secrets that `desks` would give it are copied."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "sigma-x.io/desk": "true"}
        metadata = {"name": self.name, "labels": labels}
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        for own in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
            self.wait_until(lambda own=own: self.find(own), f"{self.name} has no {own}")  # type: ignore[misc]
        for name in SECRETS:
            self.copy_secret(f"sigma-x-{name}")

    def copy_secret(self, name: str) -> None:
        """A Secret of the chart, as it is now, in place of the one of that name here."""
        secret = self.api.get(f"secret/{name}", RELEASE)
        if self.find(f"secret/{name}"):
            self.api.delete(f"secret/{name}", self.name)
        self.api.create({**secret, "metadata": {"name": name, "namespace": self.name}})

    def delete(self) -> None:
        """Ask for its end and that of all that is in it."""
        if self.api.find(f"namespace/{self.name}"):
            self.api.delete(f"namespace/{self.name}")

    def wait_gone(self, timeout: float = 300) -> None:
        """Wait until it is gone."""

        def gone() -> bool:
            return self.api.find(f"namespace/{self.name}") is None

        self.wait_until(gone, f"namespace {self.name} does not end", timeout)


def conditions(resource: Object) -> dict[str, Any]:
    """By their types."""
    return {c["type"]: c for c in resource.get("status", {}).get("conditions", [])}
