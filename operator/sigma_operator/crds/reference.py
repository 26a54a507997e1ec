"""The reference of the resources, from their definitions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from sigma_operator.crds.cel import Schema
from sigma_operator.crds.definitions import definitions
from sigma_operator.settings import GROUP, VERSION

HEAD = f"""\
<!-- Written by `make crds` from the types: change them, not this file. -->
# Resources

`apiVersion: {GROUP}/{VERSION}`. The command line (`sigma backtest`, `sigma run`) reads the same manifests.
A field in **bold** must be given. What a rule refuses, the API server refuses with the rule's words.
`kubectl explain backtest.spec --recursive` shows the same.
"""


def reference() -> str:
    """The page, in Markdown."""
    pages = [HEAD]
    for definition in definitions().values():
        kind = definition["spec"]["names"]["kind"]
        root = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        short = definition["spec"]["names"]["shortNames"][0]
        pages.append(f"## {kind}\n\n{root['description']} Short name: `{short}`.\n")
        pages += blocks(root["properties"]["spec"], "spec")
        pages += blocks(root["properties"]["status"], "status")
    return "\n".join(pages)


def blocks(schema: Schema, place: str) -> Iterator[str]:
    """A table for the block and for every block inside it."""
    yield f"### {place}\n\n{schema['description']}\n"
    required = schema.get("required", ())
    rows = ["| field | kind | default | meaning |", "|---|---|---|---|"]
    inner: list[tuple[Schema, str]] = []
    for name, field in schema["properties"].items():
        shown = f"**{name}**" if name in required else name
        text = " ".join([field.get("description", ""), *limits(field)]).replace("|", "\\|")
        rows.append(f"| {shown} | {kind_of(field)} | {default_of(field)} | {text} |")
        item = field.get("items", field)
        if "properties" in item:
            inner.append((item, f"{place}.{name}{'[]' if 'items' in field else ''}"))
    yield "\n".join(rows) + "\n"
    if rules := schema.get("x-kubernetes-validations"):
        messages = dict.fromkeys(re.sub(r" \(\w+\)(?=: a result)", "", rule["message"]) for rule in rules)
        yield "\n".join(["Rules:\n", *(f"- {text}" for text in messages)]) + "\n"
    for child, path in inner:
        yield from blocks(child, path)


def kind_of(field: Schema) -> str:
    """What a value is."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "items" in field:
        return f"list of {kind_of(field['items'])}"
    if "additionalProperties" in field:
        return "mapping"
    kind = str(field.get("type", "value"))
    return {"object": "block", "string": "text", "boolean": "true, false"}.get(kind, kind)


def default_of(field: Schema) -> str:
    """The default, as it is written; of a block its fields have their own."""
    value = field.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"


def limits(field: Schema) -> Iterator[str]:
    """Bounds in words."""
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        yield f"From {low} to {high}."
    elif low is not None:
        yield f"At least {low}."
    values = field.get("items", field)
    if "properties" not in values:  # a block's rules stand below its own table
        for rule in values.get("x-kubernetes-validations", ()):
            yield f"{rule['message'][0].upper()}{rule['message'][1:]}."
    if "items" in field and (most := field.get("maxItems")):
        yield f"At most {most}."
