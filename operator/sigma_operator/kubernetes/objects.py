"""What all child objects have in common: names by content, labels, owner reference, the restricted
standard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sigma_operator.settings import MANAGER

Object = dict[str, Any]
"""A Kubernetes object as JSON."""
ObjectView = Mapping[str, Any]
"""One that is only read."""

USER = 65532  # "nonroot" in the images
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"


def content_hash(document: object) -> str:
    """Ten hexadecimal characters of the sha256 of a JSON document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def common_labels(name: str, component: str, key: str) -> dict[str, str]:
    """The labels of a child; `key` is the label that names its resource."""
    return {
        "app.kubernetes.io/name": "sigma-x",
        COMPONENT: component,
        "app.kubernetes.io/instance": name,
        MANAGED_BY: MANAGER,
        key: name,
    }


def owner_reference(resource: Mapping[str, Any]) -> Object:
    """The owner reference, by which the garbage collector deletes the children with the resource."""
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "name": resource["metadata"]["name"],
        "uid": resource["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(resource: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> Object:
    """A child's metadata."""
    return {
        "name": name,
        "namespace": resource["metadata"]["namespace"],
        "labels": dict(labels),
        "ownerReferences": [owner_reference(resource)],
    }


def owned_by(child: Mapping[str, Any], resource: Mapping[str, Any]) -> bool:
    """Whether the child has the resource's owner reference; objects of others are never touched."""
    owners = child["metadata"].get("ownerReferences", [])
    return any(reference["uid"] == resource["metadata"]["uid"] for reference in owners)


def pod_security() -> Object:
    """The pod's part of the `restricted` standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """The container's part, and a root file system that can't be written."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _thousandths(cpu: str) -> Decimal:
    """Processors as Kubernetes writes them, "3", "0.5" or "500m", in thousandths of one."""
    return Decimal(cpu[:-1]) if cpu.endswith("m") else Decimal(cpu) * 1000


def resources(default: Mapping[str, Any], cpu: str | None, memory: str | None) -> Object:
    """Requests and limits of a container: the installation's, with what its manifest asks for in their
    place. Memory is requested up to its limit, so that the node never has to evict for it; processors asked
    for are the least, and the limit gives way only where more than it is asked for."""
    requests, limits = dict(default.get("requests", {})), dict(default.get("limits", {}))
    if cpu is not None:
        requests["cpu"] = cpu
        if "cpu" in limits and _thousandths(limits["cpu"]) < _thousandths(cpu):
            limits["cpu"] = cpu
    if memory is not None:
        requests["memory"] = limits["memory"] = memory
    return {name: value for name, value in (("requests", requests), ("limits", limits)) if value}
