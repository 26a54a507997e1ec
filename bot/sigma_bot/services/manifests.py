"""A manifest that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sigma_bot.errors import BadInputError
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.spec import load_manifest
from sigma_bot.spec.yaml_text import read_documents


def inline_source(file: Path) -> str:
    """The manifest with its source, as YAML. Raises BadInputError as loading it does, and when the strategy
    imports modules beside it: they would be missing on a cluster."""
    manifest = load_manifest(file)
    ref = manifest.spec.strategy
    loaded = load_strategy(ref, file.parent)
    if loaded.helpers:
        names = ", ".join(path.name for path in loaded.helpers)
        raise BadInputError(
            f"{file}: the strategy imports {names}, which a cluster does not see: put it into the strategy's"
            " file, or into an image of your own (spec.bot.image, spec.job.image)"
        )
    documents = [document.value for document in read_documents(file.read_text("utf-8-sig"), str(file))]
    for document in documents:
        own = str(document.get("apiVersion", "")).startswith("sigma-x.io/")
        if own and ref.file is not None:
            strategy = document["spec"]["strategy"]
            # The source takes the place of the name, so that a reader finds it where he looks for it.
            code = (file.parent / strategy.pop("file")).read_text("utf-8-sig")
            document["spec"]["strategy"] = {"code": code, **strategy}
    text: str = yaml.dump_all(documents, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=110)
    return text


def _dumper() -> type[Any]:
    """Writes texts of several lines as such, so that the source can be read."""

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
