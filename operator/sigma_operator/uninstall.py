"""Before the chart is uninstalled: stop the operator, then remove its finalizers from Strategies and
Backtests, so that deleting them, or their namespace, never waits for an operator that is gone. Bots keep
running.

    python -m sigma_operator.uninstall NAMESPACE RELEASE

SIGMA_NAMESPACES is the operator's: the namespaces that it watched, empty for all.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sigma_operator.settings import GROUP, VERSION

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
POD_TIMEOUT_S = 60.0  # seconds for the operator's pod to end


class Api:
    """The API server, as this pod's service account."""

    def __init__(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        self._base = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))

    def call(self, path: str, patch: object = None, form: str = "merge-patch+json") -> Any:
        """GET the path, or PATCH it. None where there is no such object."""
        headers = {
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": f"application/{form}",
        }
        body = None if patch is None else json.dumps(patch).encode()
        method = "GET" if patch is None else "PATCH"
        request = urllib.request.Request(self._base + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()[:300]}") from error


def stop_operator(api: Api, namespace: str, release: str) -> None:
    """Scale it to zero and wait until its pod has ended: it would put the finalizers back."""
    base = f"/apis/apps/v1/namespaces/{namespace}/deployments/{release}-operator/scale"
    if api.call(base, {"spec": {"replicas": 0}}) is None:
        return
    selector = f"app.kubernetes.io/instance%3D{release},app.kubernetes.io/component%3Doperator"
    deadline = time.monotonic() + POD_TIMEOUT_S
    while api.call(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")["items"]:
        if time.monotonic() > deadline:
            print("the operator's pod does not end; going on", flush=True)
            return
        time.sleep(0.5)


def with_finalizers(api: Api, namespaces: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and metadata of every Strategy and Backtest with a finalizer of the operator."""
    for plural in ("strategies", "backtests"):
        roots = [f"/apis/{GROUP}/{VERSION}/namespaces/{n}/{plural}" for n in namespaces]
        for root in roots or [f"/apis/{GROUP}/{VERSION}/{plural}"]:
            for item in (api.call(root) or {"items": []})["items"]:
                meta = item["metadata"]
                if any(name.startswith(f"{GROUP}/") for name in meta.get("finalizers", [])):
                    yield (
                        f"/apis/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/{plural}/{meta['name']}",
                        meta,
                    )


def main(namespace: str, release: str) -> None:
    api = Api()
    stop_operator(api, namespace, release)
    watched = list(filter(None, os.environ.get("SIGMA_NAMESPACES", "").split(",")))
    for path, meta in with_finalizers(api, watched):
        kept = [name for name in meta["finalizers"] if not name.startswith(f"{GROUP}/")]
        api.call(path, {"metadata": {"finalizers": kept, "resourceVersion": meta["resourceVersion"]}})
        print(f"released {meta['namespace']}/{meta['name']}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
