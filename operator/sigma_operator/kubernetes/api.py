"""The API client: the few calls the operator makes, over the official client's transport."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from aiohttp import ClientTimeout
from kubernetes.aio import client, config
from prometheus_client import Counter

from sigma_operator.kubernetes.objects import Object
from sigma_operator.settings import GROUP, MANAGER, VERSION

# kind: group and version as a path, and plural
PATHS = {
    "Backtest": (f"apis/{GROUP}/{VERSION}", "backtests"),
    "Strategy": (f"apis/{GROUP}/{VERSION}", "strategies"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Job": ("apis/batch/v1", "jobs"),
    "Pod": ("api/v1", "pods"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Event": ("api/v1", "events"),
}
TIMEOUT = ClientTimeout(total=30, connect=5)  # seconds
API_REQUESTS = Counter("sigmax_api_requests_total", "Calls to the API server", ["verb", "kind", "code"])


class ApiError(Exception):
    """The API server refused a call. `code` is its HTTP status, `reason` its machine-readable reason."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason


PAGE_SIZE = 100  # objects
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def path(kind: str, namespace: str, name: str = "", subresource: str = "", **query: str) -> str:
    """The path of an object, or of the collection; without a namespace, in all of them."""
    base, plural = PATHS[kind]
    place = ["namespaces", namespace] if namespace else []
    pieces = [base, *place, plural, name, subresource]
    return "/" + "/".join(filter(None, pieces)) + (f"?{urlencode(query)}" if query else "")


class Api:
    """A connection to the API server."""

    def __init__(self, connection: client.ApiClient) -> None:
        self._connection = connection

    async def _call(
        self,
        method: str,
        kind: str,
        url: str,
        body: Object | None = None,
        content: str = "",
        accept: str = "application/json",
    ) -> Object:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content or "application/json"
        request = await self._connection.param_serialize(
            method, url, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = await self._connection.call_api(*request, _request_timeout=TIMEOUT)
        data: bytes = await response.read()  # type: ignore[no-untyped-call]
        response_body: Object = json.loads(data or b"{}")
        API_REQUESTS.labels(method.lower(), kind, str(response.status)).inc()
        if not 200 <= response.status < 300:
            raise ApiError(response.status, response_body.get("reason", ""), response_body.get("message", ""))
        return response_body

    async def served(self) -> bool:
        """Whether the API server answers and serves the operator's resources."""
        try:
            await self._call("GET", "Backtest", f"/apis/{GROUP}/{VERSION}")
        except (ApiError, OSError, TimeoutError):
            return False
        return True

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return await self._call("GET", kind, path(kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def select(self, kind: str, namespace: str, selector: str) -> list[Object]:
        """The objects with these labels."""
        response_body = await self._call("GET", kind, path(kind, namespace, labelSelector=selector))
        items: list[Object] = response_body["items"]
        return items

    async def versions(self, kind: str, namespace: str, selector: str) -> dict[tuple[str, str], str]:
        """Resource version by namespace and name of every object with these labels, read page by page: all of
        them at once would dominate this process's memory."""
        found: dict[tuple[str, str], str] = {}
        query = {"limit": str(PAGE_SIZE), **({"labelSelector": selector} if selector else {})}
        while True:
            response_body = await self._call(
                "GET", kind, path(kind, namespace, **query), accept=METADATA_ONLY
            )
            for item in response_body["items"] or ():  # null when there are none
                meta = item["metadata"]
                found[meta["namespace"], meta["name"]] = meta["resourceVersion"]
            if not (token := response_body["metadata"].get("continue")):
                return found
            query["continue"] = token

    async def events(self, namespace: str, name: str) -> list[Object]:
        """The Events about the object of this name, the oldest first."""
        url = path("Event", namespace, fieldSelector=f"involvedObject.name={name}", limit="50")
        items: list[Object] = (await self._call("GET", "Event", url))["items"]
        return sorted(items, key=lambda e: str(e.get("lastTimestamp") or e["metadata"]["creationTimestamp"]))

    async def apply(self, document: Object, subresource: str = "", manager: str = MANAGER) -> Object:
        """Server-side apply as our field manager; `subresource` is one such as status."""
        meta = document["metadata"]
        url = path(
            document["kind"], meta["namespace"], meta["name"], subresource, fieldManager=manager, force="true"
        )
        return await self._call("PATCH", document["kind"], url, document, "application/apply-patch+yaml")

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Set the replicas of a StatefulSet and nothing else of it."""
        document = {"spec": {"replicas": replicas}}
        url = path("StatefulSet", namespace, name, fieldManager=MANAGER)
        await self._call("PATCH", "StatefulSet", url, document, "application/merge-patch+json")

    async def create(self, document: Object) -> Object:
        """Create an object, named by the server from its `generateName`."""
        kind = document["kind"]
        return await self._call("POST", kind, path(kind, document["metadata"]["namespace"]), document)

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Delete the object, with `uid` only if it still is that one; one that is gone already is no
        error."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", kind, path(kind, namespace, name), options)
        except ApiError as error:
            if error.code not in (404, 409):  # 409: another object has taken the name
                raise


@asynccontextmanager
async def connect() -> AsyncIterator[Api]:
    """Connect as the pod's service account, or, outside a cluster, as KUBECONFIG says."""
    settings = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    async with client.ApiClient(configuration=settings) as connection:
        yield Api(connection)
