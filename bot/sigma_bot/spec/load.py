"""Reading manifests: every problem of a file is reported at once, with its line, place, value and remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import ValidationError

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.spec.manifest import API_VERSION, KINDS, Backtest, Strategy
from sigma_bot.spec.problems import Loc, dotted, problems_of
from sigma_bot.spec.units import show
from sigma_bot.spec.yaml_text import Document, read_documents

MAX_BYTES = 1_500_000  # what a cluster stores of one object
_START = f"a manifest begins with 'apiVersion: {API_VERSION}' and 'kind: Backtest' or 'kind: Strategy'"


@overload
def load_manifest(path: str | Path, kind: Literal["Backtest"]) -> Backtest: ...
@overload
def load_manifest(path: str | Path, kind: Literal["Strategy"]) -> Strategy: ...
@overload
def load_manifest(path: str | Path, kind: None = None) -> Backtest | Strategy: ...
def load_manifest(path: str | Path, kind: str | None = None) -> Backtest | Strategy:
    """The manifest in a YAML file; ``kind`` chooses where the file holds several documents.

    Raises BadInputError, one line a problem: ``file.yaml:12: spec.account.cash: must be above 0, got "-5"``.
    """
    name = str(path)
    document, found = _choose(read_documents(_read(Path(path)), name), name, kind)
    return _validated(document.value, found, name, document)


def parse_manifest(value: Mapping[str, Any], where: str = "manifest") -> Backtest | Strategy:
    """The manifest in a plain mapping (an object of the cluster, a stored run)."""
    document = Document(value=value)
    _, found = _choose([document], where, None)
    return _validated(value, found, where, None)


def dump_manifest(manifest: Backtest | Strategy) -> dict[str, Any]:
    """The manifest as plain JSON values under YAML names, defaults filled; ``parse_manifest`` reads it."""
    return manifest.model_dump(mode="json", by_alias=True)


def with_overrides(
    manifest: Backtest,
    *,
    params: Mapping[str, bool | int | float] | None = None,
    period_from: str | None = None,
    period_to: str | None = None,
    data_path: str | Path | None = None,
) -> Backtest:
    """The backtest with values of the command line in place of its own; errors name the option."""
    value = dump_manifest(manifest)
    spec = value["spec"]
    spec["strategy"]["params"].update(params or {})
    if period_from is not None:
        spec["period"]["from"] = period_from
    if period_to is not None:
        spec["period"]["to"] = period_to
    if data_path is not None:
        # A path of the command line starts at the working directory, not at the manifest's folder.
        source = spec["data"]["source"]
        spec["data"].update(
            path=os.path.abspath(data_path), source="catalogue" if source == "catalogue" else "file"
        )
        for market in spec["markets"]:
            market["data"] = None
    try:
        return Backtest.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as e:
        options = {"spec.period.from": "--from", "spec.period.to": "--to", "spec.data.path": "--data"}
        lines = [f"{options.get(dotted(loc), dotted(loc))}: {text}" for loc, text in problems_of(e, Backtest)]
        raise BadInputError("\n".join(lines)) from None


def _read(path: Path) -> str:
    if path.suffix == ".py":
        raise BadInputError(f"{path}: is a Python file; give the manifest that names it, like backtest.yaml")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadInputError(f"{path}: {size:,} bytes is too large for a manifest (at most {MAX_BYTES:,})")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInputError(f"{path}: no such file{_nearby(path)}") from None
    except IsADirectoryError:
        raise BadInputError(
            f"{path}: is a folder; give the manifest inside it{_nearby(path / 'backtest.yaml')}"
        ) from None
    except UnicodeDecodeError as e:
        raise BadInputError(f"{path}: is not text in UTF-8 (byte {e.start})") from None
    except OSError as e:
        raise BadInputError(f"{path}: cannot be read: {e.strerror}") from None


def _nearby(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except OSError:
        return f"; there is no folder {path.parent}"
    return nearest(path.name, names)


def _choose(documents: list[Document], name: str, kind: str | None) -> tuple[Document, str]:
    """The document to read and its kind. Documents of other groups (a Secret) may stand beside it."""
    if not documents:
        raise BadInputError(f"{name}: is empty; {_START}")
    ours = []
    for document in documents:
        value = document.value
        if not isinstance(value, Mapping):
            raise BadInputError(
                f"{name}:{document.line}: must be a mapping of fields, got {show(value)}; {_START}"
            )
        foreign = str(value.get("apiVersion", "")).partition("/")[0] not in ("", "sigma-x.io")
        if len(documents) == 1 or not foreign:
            ours.append((document, _kind(document, name)))
    wanted = [(d, k) for d, k in ours if kind is None or k == kind]
    if len(wanted) == 1:
        return wanted[0]
    held = " and ".join(f"a {k} (line {d.line})" for d, k in ours) or "other objects only"
    if not wanted:
        raise BadInputError(f"{name}: holds {held}; kind: {kind or 'Backtest'} is needed here")
    raise BadInputError(f"{name}: holds {held}; give a file with one of them")


def _kind(document: Document, name: str) -> str:
    kind = document.value.get("kind")
    where = f"{name}:{document.line_of(('kind',))}: kind:"
    if kind is None:
        raise BadInputError(f"{where} is missing; {_START}")
    if kind not in KINDS:
        near = nearest(str(kind), KINDS)
        raise BadInputError(f'{where} must be "Backtest" or "Strategy", got {show(kind)}{near}')
    return str(kind)


def _validated(value: Any, kind: str, name: str, document: Document | None) -> Backtest | Strategy:
    model = KINDS[kind]
    found: list[tuple[int, Loc, str]] = []
    if document is not None:
        found = [(line, path, text) for path, line, text in document.problems]
    manifest = None
    try:
        manifest = model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as e:
        spoiled = {path for _, path, _ in found}
        for loc, text in problems_of(e, model):
            if loc not in spoiled:
                found.append((0 if document is None else document.line_of(loc), loc, text))
    if manifest is not None and not found:
        return manifest
    found.sort(key=lambda problem: problem[0])
    lines = [f"{name}{f':{line}' if line else ''}: {dotted(loc)}: {text}" for line, loc, text in found]
    raise BadInputError("\n".join(lines))
