"""Notices a watch that has gone silent: now and then everything is listed, and a version that the watch has
not shown by the next time is one it has lost."""

from __future__ import annotations

NamespacedName = tuple[str, str]  # namespace and name


class Watchdog:
    """What the watches have shown, held against what there is. Pure: the lists are given."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[NamespacedName, str]] = {}
        self._unseen: dict[str, dict[NamespacedName, str]] = {}
        self._unlisted: dict[str, set[NamespacedName]] = {}
        self.dead: dict[str, NamespacedName] = {}
        """Kinds whose watch is dead, each with an object it lost."""

    def record(self, kind: str, namespace: str, name: str, version: str) -> None:
        """A watch showed this version of an object."""
        self._seen.setdefault(kind, {})[namespace, name] = version

    def check(self, kind: str, listed: dict[NamespacedName, str]) -> set[NamespacedName]:
        """Hold a list of versions against what was shown; the objects that were not shown by then although
        they were listed so the last time. The kind is dead while there are any."""
        seen = self._seen.setdefault(kind, {})
        unlisted = seen.keys() - listed.keys()
        # An object may be younger than the list, which takes a while to read: missing once is no proof.
        for gone in unlisted & self._unlisted.get(kind, set()):
            del seen[gone]
        self._unlisted[kind] = unlisted
        unseen = {name: version for name, version in listed.items() if seen.get(name) != version}
        before = self._unseen.get(kind, {})
        lost = {name for name, version in unseen.items() if before.get(name) == version}
        self._unseen[kind] = unseen
        if lost:
            self.dead[kind] = min(lost)
        else:
            self.dead.pop(kind, None)
        return lost
