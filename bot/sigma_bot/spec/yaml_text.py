"""YAML to plain values, the way ``kubectl apply`` reads it, with the line of every field kept for messages.

Differences from PyYAML's own loader, each because the cluster would read another value: dates stay text,
``1:30`` is no number of base 60, ``1e-3`` is a number, and a field given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from sigma_bot.errors import BadInputError

Path = tuple[str | int, ...]
_MAX_VALUES = 100_000
_TAG = "tag:yaml.org,2002:"
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INT = r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: _BOOLS[text.lower()],
    "int": lambda text: int(text.replace("_", ""), 0),
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


@dataclass
class Document:
    """One YAML document: its plain value, the line of each field, and what is wrong with it as YAML."""

    value: Any = None
    line: int = 1
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[Path, int, str]] = field(default_factory=list)
    count: int = 0

    def line_of(self, path: Path) -> int:
        """The line of the field at ``path``, or of the nearest field around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"{_TAG}{kind}", re.compile(f"^(?:{pattern})$"), list(first))


_resolve("null", "~|null|Null|NULL|", "~nN")
_Loader.yaml_implicit_resolvers[""] = [(f"{_TAG}null", re.compile("^$"))]
_resolve("bool", "|".join(f"{w}|{w.title()}|{w.upper()}" for w in _BOOLS), "tTyYoOfFnN")
_resolve("int", _INT, "-+0123456789")
_resolve("float", _FLOAT, "-+0123456789.")
_resolve("merge", "<<", "<")


def read_documents(text: str, name: str) -> list[Document]:
    """The non-empty documents of a YAML text. BadInputError names line and column of what is not YAML."""
    documents = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            document = Document(line=node.start_mark.line + 1)
            document.value = _value(node, (), document)
            if document.value is not None:
                documents.append(document)
    except yaml.YAMLError as e:
        raise BadInputError(_syntax(e, name)) from None
    except RecursionError:
        raise BadInputError(f"{name}: nested too deeply, or within itself, for a manifest") from None
    return documents


def _syntax(e: yaml.YAMLError, name: str) -> str:
    if not isinstance(e, yaml.MarkedYAMLError) or e.problem_mark is None:
        return f"{name}: not valid YAML: {e}"
    where = f"{name}:{e.problem_mark.line + 1}"
    if "'\\t'" in (e.problem or ""):
        return f"{where}: not valid YAML: a tab in front of a field; indent with spaces"
    context = f"{e.context}, " if e.context else ""
    return f"{where}: not valid YAML: {context}{e.problem} (column {e.problem_mark.column + 1})"


def _value(node: yaml.Node, path: Path, document: Document) -> Any:
    document.count += 1
    if document.count > _MAX_VALUES:
        raise yaml.YAMLError("more than 100,000 values (or an alias that contains itself)")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_item(child, (*path, i), document) for i, child in enumerate(node.value)]
    return _scalar(node, path, document)


def _item(node: yaml.Node, path: Path, document: Document) -> Any:
    document.lines[path] = node.start_mark.line + 1
    return _value(node, path, document)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, child in node.value:
        line = key.start_mark.line + 1
        if key.tag == f"{_TAG}merge":
            document.problems.append(
                (path, line, 'merge keys ("<<") are not supported: write the fields out')
            )
        elif not isinstance(key, yaml.ScalarNode):
            document.problems.append((path, line, "a field's name must be text"))
        elif key.value in out:
            at = (*path, key.value)
            text = f"stands twice, first in line {document.lines[at]}: keep one"
            document.problems.append((at, line, text))
        else:
            document.lines[*path, key.value] = line
            out[key.value] = _value(child, (*path, key.value), document)
    return out


def _scalar(node: yaml.Node, path: Path, document: Document) -> Any:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if kind == "float" and re.match(r"[-+]?0[0-9]", text):
        line = node.start_mark.line + 1
        document.problems.append((path, line, f'must be text, got {text}: put it in quotes, "{text}"'))
        return text
    if kind in _SCALARS:
        return _SCALARS[kind](text)
    document.problems.append((path, node.start_mark.line + 1, f"the tag {node.tag} is not supported"))
    return text
