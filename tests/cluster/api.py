"""One client of the API server for all tests: objects over a connection that stays open, and waiting that is
woken by what the server reports, not by asking again and again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

Object = dict[str, Any]
T = TypeVar("T")
CORE, SIGMA = "api/v1", "apis/sigma-x.io/v1alpha1"
# kind: where its objects are, and what they are called there
PATHS = {
    "backtest": (SIGMA, "backtests"),
    "configmap": (CORE, "configmaps"),
    "event": (CORE, "events"),
    "job": ("apis/batch/v1", "jobs"),
    "namespace": (CORE, "namespaces"),
    "networkpolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "node": (CORE, "nodes"),
    "pod": (CORE, "pods"),
    "secret": (CORE, "secrets"),
    "service": (CORE, "services"),
    "serviceaccount": (CORE, "serviceaccounts"),
    "statefulset": ("apis/apps/v1", "statefulsets"),
    "strategy": (SIGMA, "strategies"),
}
# What wakes those who wait: everything that the tests look at and somebody else than they changes.
WATCHED = (
    *("strategy", "backtest", "pod", "statefulset", "job", "configmap", "networkpolicy"),
    *("namespace", "serviceaccount"),
)
# A change that the API server does not know of, such as an order, is looked for this often.
ELSEWHERE_S = 0.5
RECONNECT_S = 0.2
TIMEOUT_S = (10, 60)  # to connect, to read


class ApiError(Exception):
    """The API server's refusal: its status, and its words in `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class NotFound(ApiError):
    """There is no such object."""


class Api:
    """The API server that a kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client: ApiClient = new_client_from_config(str(kubeconfig))
        self._changes = 0
        self._changed = threading.Condition()
        self._closed = threading.Event()
        for kind in WATCHED:
            threading.Thread(target=self._watch, args=(kind,), name=f"watch {kind}", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    # --- requests -------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: object = None, as_user: str = "", **query: str) -> Any:
        """The answer of the server. `as_user`: asked in that user's name.

        Raises ApiError when it refuses, urllib3's HTTPError when it can't be reached.
        """
        headers = {"Accept": "application/json"}
        if as_user:
            headers["Impersonate-User"] = as_user
        response = self._open(method, path, query, headers, body, TIMEOUT_S)
        text = response.read().decode()
        if response.status >= 400:
            raise _refusal(response.status, text)
        return json.loads(text) if text.startswith(("{", "[")) else text

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: object,
        timeout: tuple[float, float | None],
    ) -> Any:
        pairs: list[tuple[str, str]] = []
        self._client.update_params_for_auth(headers, pairs, ["BearerToken"], path, method, body)
        url = f"{self._client.configuration.host}/{path.lstrip('/')}"
        parameters = urlencode([*query.items(), *pairs])
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._client.call_api(
            method,
            f"{url}?{parameters}" if parameters else url,
            header_params=headers,
            body=body,
            _request_timeout=timeout,
        )

    def get(self, what: str, namespace: str = "") -> Object:
        """The object `kind/name` as it is now. Raises NotFound when there is none."""
        kind, _, name = what.partition("/")
        found: Object = self.request("GET", f"{_path(kind, namespace)}/{name}")
        return found

    def find(self, what: str, namespace: str = "") -> Object | None:
        """The object `kind/name` as it is now, or None."""
        try:
            return self.get(what, namespace)
        except NotFound:
            return None

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """All objects of a kind, in one namespace or in all, that the selectors choose."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        chosen = {name: value for name, value in query.items() if value}
        found: list[Object] = self.request("GET", _path(kind, namespace), **chosen)["items"]
        return found

    def create(self, manifest: Object, namespace: str = "", dry_run: bool = False) -> Object:
        """Create an object; the server checks every field. `dry_run`: checks only."""
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        made: Object = self.request("POST", _place(manifest, namespace), manifest, **query)
        return made

    def delete(self, what: str, namespace: str = "") -> None:
        """Ask for the object's end; it may take its time."""
        kind, _, name = what.partition("/")
        self.request("DELETE", f"{_path(kind, namespace)}/{name}", {"propagationPolicy": "Background"})

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Whether the user may do that to `resource[.group][/subresource]`: `kubectl auth can-i --as`."""
        name, _, part = resource.partition("/")
        plural, _, group = name.partition(".")
        asked = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": part,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.request("POST", path, review, as_user=user)["status"]["allowed"])

    # --- waiting --------------------------------------------------------------------------------------------

    def wait_until(self, holds: Callable[[], T], what: str | Callable[[], str], timeout: float = 120) -> T:
        """What `holds` answers once that is true. It is asked anew when something has changed in the cluster,
        and at a longer interval, since not everything that it asks for is in the cluster.

        Fails with `what` when that takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            began, seen = time.monotonic(), self._changes
            if answer := holds():
                return answer
            now = time.monotonic()
            assert now < deadline, what if isinstance(what, str) else what()
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._changes != seen, ELSEWHERE_S)  # type: ignore[misc]
            # What is dear to find out is asked for half of the time at most.
            self._closed.wait(max(0.0, 2 * now - began - time.monotonic()))

    def _watch(self, kind: str) -> None:
        """Count what happens to objects of a kind, until closed."""
        query = {"watch": "1", "timeoutSeconds": "3600"}
        while not self._closed.is_set():
            try:
                response = self._open("GET", _path(kind, ""), query, {}, None, (10, None))
                if response.status == 200:
                    for _ in response.response.stream(1 << 16):
                        self._count()
                else:
                    response.read()  # such as a kind that is not defined yet
            except urllib3.exceptions.HTTPError:
                pass  # the server ended, as it does in a drill
            self._count()
            self._closed.wait(RECONNECT_S)

    def _count(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()


def _path(kind: str, namespace: str) -> str:
    prefix, plural = PATHS[kind]
    return f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"


def _place(manifest: Object, namespace: str) -> str:
    """Where an object of this kind is created: in the namespace that it names, else in that one."""
    kind = manifest["kind"].lower()
    return _path(kind, manifest["metadata"].get("namespace", namespace))


def _refusal(status: int, text: str) -> ApiError:
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError):
        message = text
    return (NotFound if status == 404 else ApiError)(status, message)
