"""The digest of what a Strategy manifest decides."""

from __future__ import annotations

import hashlib
import json

from sigma_bot.runtime.loader import LoadedStrategy
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.spec import dump_manifest, market_rules


def manifest_digest(manifest: Manifest, loaded: LoadedStrategy) -> str:
    """sha256 of what decides about orders. Where the code lies, secrets and policies decide nothing."""
    spec = dump_manifest(manifest)["spec"]
    for name in ("file", "code"):
        spec["strategy"].pop(name, None)
    spec["strategy"] |= {"class": loaded.cls.__name__, "params": loaded.params}
    for name in ("secretRef", "confirm"):
        spec["account"].pop(name, None)
    for name in ("deletionPolicy", "swapPolicy", "onUnprotected", "suspend", "bot"):
        spec.pop(name, None)
    for i, market in enumerate(manifest.spec.markets):
        spec["markets"][i] = market_rules(market).describe()
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
