"""Conditions of a resource, and termination messages of containers. Pure: the time is given."""

from __future__ import annotations

import json
from typing import Literal

from sigma_operator.crds.status import Condition
from sigma_operator.kubernetes.objects import ObjectView

ConditionStatus = Literal["True", "False", "Unknown"]
MAX_MESSAGE, MAX_SUMMARY = 4096, 300  # characters of a message, and of its summary in the other conditions
# The kubelet's reasons why a container can't start, in words for the one who wrote the manifest.
WAITING_REASONS = {
    "ErrImagePull": "the image can't be pulled",
    "ImagePullBackOff": "the image can't be pulled",
    "ErrImageNeverPull": "the image is not on the node",
    "InvalidImageName": "the image's name is not valid",
    "CreateContainerConfigError": "the pod's configuration is not complete",
    "CreateContainerError": "the container can't be made",
    "RunContainerError": "the container can't be started",
}


def condition_of(resource: ObjectView, kind: str) -> ObjectView | None:
    """The resource's condition of this type."""
    conditions = resource.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), None)


def true_condition(resource: ObjectView, kind: str) -> ObjectView | None:
    """The condition of this type when its status is True."""
    found = condition_of(resource, kind)
    return found if found is not None and found["status"] == "True" else None


def condition(
    resource: ObjectView, kind: str, status: ConditionStatus, reason: str, message: str, now: str
) -> Condition:
    """The condition to write, its transition time kept while its status stays. ``now`` is ISO 8601 UTC."""
    before = condition_of(resource, kind)
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else now
    return Condition(
        type=kind,
        status=status,
        reason=reason[:64] or "Unknown",
        message=message[-MAX_MESSAGE:],
        last_transition_time=since,
        observed_generation=resource["metadata"]["generation"],
    )


def termination_error(ended: ObjectView) -> str:
    """The error in a failed container's termination message: the bot's own, or the end of its log."""
    message = ended.get("message") or ""
    try:
        return str(json.loads(message)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return message.strip()


def last_line(text: str) -> str:
    """The last line of a message, which says what is wrong, short enough for a table."""
    return text.rstrip().rpartition("\n")[2][:MAX_SUMMARY]
