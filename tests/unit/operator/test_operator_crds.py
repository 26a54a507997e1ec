"""The resource definitions are what the types say, and what an API server takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sigma_operator.crds.definitions import definitions, to_yaml
from sigma_operator.crds.reference import reference

FOLDER = Path(__file__).resolve().parents[3] / "crds"
Schema = dict[str, Any]


def nodes(schema: Schema, place: str = "") -> Iterator[tuple[str, Schema]]:
    yield place, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{place}[]")


@pytest.fixture(params=sorted(definitions()))
def definition(request: pytest.FixtureRequest) -> Schema:
    return definitions()[request.param]


def schema_of(definition: Schema) -> Schema:
    root: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def test_checked_in_files_are_the_generated_ones() -> None:
    written = {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}
    assert written == {name: to_yaml(document) for name, document in definitions().items()}, "run `make crds`"


def test_every_value_has_a_type_or_is_free(definition: Schema) -> None:
    for place, schema in nodes(schema_of(definition)):
        free = schema.get("x-kubernetes-preserve-unknown-fields")
        assert "type" in schema or free, place
        assert not {"anyOf", "$ref", "const", "patternProperties", "title"} & set(schema), place


def test_every_field_of_the_spec_is_described(definition: Schema) -> None:
    for place, schema in nodes(schema_of(definition)["properties"]["spec"], "spec"):
        for name, child in schema.get("properties", {}).items():
            assert child.get("description"), f"{place}.{name}"


def test_every_text_is_bounded(definition: Schema) -> None:
    """Unbounded texts make the cost of a CEL rule unbounded, and the API server refuses the definition."""
    for place, schema in nodes(schema_of(definition)["properties"]["spec"], "spec"):
        if schema.get("type") == "string":
            assert "enum" in schema or "maxLength" in schema, place


def test_patterns_are_within_what_go_repeats(definition: Schema) -> None:
    for place, schema in nodes(schema_of(definition)):
        repeats = re.findall(r"\{\d*,?(\d+)\}", schema.get("pattern", ""))
        assert all(int(n) <= 1000 for n in repeats), place


def test_rules_say_what_is_right(definition: Schema) -> None:
    rules = [r for _, s in nodes(schema_of(definition)) for r in s.get("x-kubernetes-validations", [])]
    assert len(rules) > 20
    assert all(rule["message"] for rule in rules)


def test_names(definition: Schema) -> None:
    names = definition["spec"]["names"]
    assert (names["kind"], names["shortNames"]) in [("Backtest", ["bt"]), ("Strategy", ["strat"])]
    assert names["categories"] == ["sigma"]


def test_the_reference_is_the_generated_one() -> None:
    written = (FOLDER.parent / "docs" / "crds.md").read_text()
    assert written == reference(), "run `make crds`"


def test_the_reference_names_every_field(definition: Schema) -> None:
    page = reference()
    for _, schema in nodes(schema_of(definition)["properties"]["spec"], "spec"):
        for name in schema.get("properties", {}):
            assert f"| {name} |" in page or f"| **{name}** |" in page
