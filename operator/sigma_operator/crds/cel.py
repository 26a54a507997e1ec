"""A validation rule in CEL, as a schema carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """A CEL rule of a block, the sentence that says what is right, and the field it is about."""

    rule: str
    message: str
    field: str = ""

    def schema(self) -> Schema:
        out = {
            "rule": self.rule,
            "message": self.message,
            "fieldPath": self.field,
            "reason": "FieldValueInvalid",
        }
        return {key: value for key, value in out.items() if value}
