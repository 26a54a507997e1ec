"""Detects a dead watch: everything is listed at intervals, and a version that the watch has not delivered by
the next list is one it has missed."""

from __future__ import annotations

NamespacedName = tuple[str, str]  # namespace and name


class Watchdog:
    """What the watches have delivered, compared with what there is. Pure: the lists are given."""

    def __init__(self) -> None:
        self._delivered: dict[str, dict[NamespacedName, str]] = {}
        self._undelivered: dict[str, dict[NamespacedName, str]] = {}
        self._unlisted: dict[str, set[NamespacedName]] = {}
        self.dead: dict[str, NamespacedName] = {}
        """Kinds whose watch is dead, each with an object it missed."""

    def record(self, kind: str, namespace: str, name: str, version: str) -> None:
        """A watch delivered this version of an object."""
        self._delivered.setdefault(kind, {})[namespace, name] = version

    def check(self, kind: str, listed: dict[NamespacedName, str]) -> set[NamespacedName]:
        """Compare a list of versions with what was delivered. The objects that the watch has missed: listed
        in the same version the last time, and not delivered since. The kind is dead while there are any."""
        delivered = self._delivered.setdefault(kind, {})
        unlisted = delivered.keys() - listed.keys()
        # An object may be younger than the list, which takes a while to read: missing once is no proof.
        for gone in unlisted & self._unlisted.get(kind, set()):
            del delivered[gone]
        self._unlisted[kind] = unlisted
        undelivered = {name: version for name, version in listed.items() if delivered.get(name) != version}
        before = self._undelivered.get(kind, {})
        missed = {name for name, version in undelivered.items() if before.get(name) == version}
        self._undelivered[kind] = undelivered
        if missed:
            self.dead[kind] = min(missed)
        else:
            self.dead.pop(kind, None)
        return missed
