"""Structural schemas, from the types.

A structural schema knows less than the types (no references, no nullable unions), so the JSON schema that
pydantic gives is narrowed, and what is left over becomes CEL (`bounds`, `rules`). What the API server lets
through all the same, the operator finds with the types themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sigma_operator.crds.bounds import annotated_metadata, bound_rules, item_metadata
from sigma_operator.crds.cel import Schema
from sigma_operator.crds.rules import LIST_KEYS, RULES

MAX_TEXT = 1000  # characters, where a pattern has no end; CEL's cost limit wants every text bounded
_REPEAT = re.compile(r"\^\((?:\(\?s\))?(?:\.|\[\^\\x00\])\{(\d+),(\d+)\}\)\$")


def max_length(pattern: str) -> int | None:
    """Most characters that a text of this pattern has, or None where it has no end."""
    width = int(re._parser.parse(pattern).getwidth()[1])  # type: ignore[attr-defined]
    return width if width <= MAX_TEXT else None


def text_schema(schema: Schema) -> Schema:
    """A text with a bound on its length. Go's regular expressions repeat at most 1,000 times: longer is a
    length."""
    out = pick(schema, "type", "pattern", "enum", "maxLength")
    if "enum" in out:
        return out
    pattern = out.get("pattern")
    if pattern is not None and (repeat := _REPEAT.fullmatch(pattern)):
        del out["pattern"]
        return {**out, "minLength": int(repeat[1]), "maxLength": int(repeat[2])}
    limit = max_length(pattern) if pattern is not None else None
    return {"maxLength": limit or MAX_TEXT, **out}


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with every model inside it."""
    return SchemaBuilder(model).build()


class SchemaBuilder:
    """Narrows one model's JSON schema to a structural schema."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        full = model.model_json_schema(by_alias=True, mode="validation")
        self._definitions: Mapping[str, Schema] = full.pop("$defs", {})
        self._json_schema = full
        self._models = {found.__name__: found for found in _models(model)}

    def build(self) -> Schema:
        """The structural schema of the whole model."""
        return self._object(self._json_schema, self._model)

    def _object(self, schema: Schema, model: type[BaseModel]) -> Schema:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        fields |= {str(f.validation_alias): f for f in model.model_fields.values() if f.validation_alias}
        out: Schema = {"type": "object", "description": tidy(schema.get("description", ""))}
        out["properties"] = {
            name: self._field(name, child, fields[name], model)
            for name, child in schema["properties"].items()
        }
        if required := schema.get("required"):
            out["required"] = required
        if rules := RULES.get(model):
            out["x-kubernetes-validations"] = [rule.schema() for rule in rules]
        return out

    def _field(self, name: str, schema: Schema, field: FieldInfo, model: type[BaseModel]) -> Schema:
        out = {**self._value(schema), **LIST_KEYS.get((model, name), {})}
        out["description"] = tidy(schema.get("description") or out.get("description", ""))
        default = schema.get("default")
        if default is not None:
            out["default"] = without_nulls(default)
        if rules := bound_rules((*field.metadata, *annotated_metadata(field.annotation))):
            out["x-kubernetes-validations"] = rules
        if "items" in out and (rules := bound_rules(item_metadata(field.annotation))):
            out["items"]["x-kubernetes-validations"] = rules
        return out

    def _value(self, schema: Schema) -> Schema:
        """A value of whatever kind, without description and default."""
        if "anyOf" in schema:  # in our types: a value or null, and in Kubernetes absent is null
            schema = next(choice for choice in schema["anyOf"] if choice.get("type") != "null")
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._object(self._definitions[name], self._models[name])
        kind = schema.get("type")
        if kind == "string":
            return text_schema(schema)
        if kind == "integer":
            return pick(schema, "type", "minimum", "maximum") | {"format": "int64"}
        if kind == "array":
            return {"items": self._value(schema["items"]), **pick(schema, "type", "minItems", "maxItems")}
        if kind == "object":
            return self._mapping(schema)
        return pick(schema, "type", "x-kubernetes-preserve-unknown-fields")

    def _mapping(self, schema: Schema) -> Schema:
        """A mapping with free names. Their form is left to the operator: there are no patternProperties."""
        patterns = schema.get("patternProperties")
        out: Schema = {"type": "object"}
        if not patterns:
            return {**out, "additionalProperties": self._value(schema["additionalProperties"])}
        value = next(iter(patterns.values()))
        out["additionalProperties"] = self._value(value)
        return {**out, "maxProperties": schema["maxProperties"]}


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and every model inside its fields."""
    yield model
    pending: list[object] = [field.annotation for field in model.model_fields.values()]
    while pending:
        part = pending.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _models(part)
        pending += get_args(part)


def without_nulls(value: Any) -> Any:
    """A default without the fields that are left out: null is no value in a structural schema."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return value


def pick(schema: Schema, *names: str) -> Schema:
    """These entries of a schema, as far as it has them."""
    return {name: schema[name] for name in names if name in schema}


def tidy(text: str) -> str:
    """A docstring as one paragraph, without its markup."""
    return " ".join(text.replace("``", "'").split())
