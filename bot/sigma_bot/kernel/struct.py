"""Classes whose annotated fields are one flat record.

LIVE and SIM import only this file of the kernel, so it needs neither NumPy nor Numba until a record is asked
for.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

SCALARS: dict[type, str] = {float: "f8", int: "i8", bool: "?"}
DEFAULT_WINDOW = 256


@dataclass(frozen=True)
class ArraySpec:
    """A field of ``n`` items. ``sized`` arrays take their length from ``Cls[n]`` (an indicator's window)."""

    item: Any
    n: int
    sized: bool = False


def array(item: Any, n: int) -> Any:
    """Annotation of a fixed-length field: ``levels: array(float, 64)``."""
    if n < 1:
        raise TypeError(f"array length must be at least 1, got {n}")
    return ArraySpec(item, n)


def window(item: Any) -> Any:
    """Annotation of a buffer whose length is the capacity: ``Sma`` holds 256 values, ``Sma[1024]`` holds
    1,024."""
    return ArraySpec(item, DEFAULT_WINDOW, sized=True)


@dataclass(frozen=True)
class Param:
    """A strategy's parameter: a default and the bounds a manifest's value must keep."""

    default: float | int | bool
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    description: str = ""

    def problem(self, value: float | int | bool) -> str | None:
        """What is wrong with ``value``, or None."""
        for bound, word, ok in (
            (self.ge, "at least", operator.ge),
            (self.gt, "above", operator.gt),
            (self.le, "at most", operator.le),
            (self.lt, "below", operator.lt),
        ):
            if bound is not None and not ok(value, bound):
                return f"must be {word} {bound:g}, got {value:g}"
        return None


def param(
    default: float | int | bool,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    description: str = "",
) -> Any:
    """A parameter with bounds: ``fast: int = param(12, ge=1, le=200)``. Raises TypeError for a default
    outside them."""
    p = Param(default, ge, gt, le, lt, description)
    if (wrong := p.problem(default)) is not None:
        raise TypeError(f"param({default}): the default {wrong}")
    return p


class StructMeta(type):
    """Collects annotated fields over the bases, moves defaults away, and adds slots where the bases allow
    it."""

    __fields__: dict[str, Any]
    __defaults__: dict[str, Any]
    __params__: dict[str, Param]

    def __new__(mcs, name: str, bases: tuple[type, ...], ns: dict[str, Any]) -> StructMeta:
        own = _resolve(name, ns, sys._getframe(1))
        fields: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        params: dict[str, Param] = {}
        for base in reversed(bases):
            fields.update(getattr(base, "__fields__", {}))
            defaults.update(getattr(base, "__defaults__", {}))
            params.update(getattr(base, "__params__", {}))
        for field in own:
            if field in ns:
                value = ns.pop(field)
                if isinstance(value, Param):
                    params[field] = value
                    value = value.default
                defaults[field] = value
        if bases and not any(fields.keys() <= getattr(b, "__fields__", {}).keys() for b in bases):
            names = " and ".join(b.__name__ for b in bases if getattr(b, "__fields__", None))
            raise TypeError(f"{name}: only one base may have fields, not {names}; a mixin holds methods only")
        ns["__slots__"] = tuple(n for n in own if n not in fields)
        fields.update(own)
        ns.update(__fields__=fields, __defaults__=defaults, __params__=params)
        return super().__new__(mcs, name, bases, ns)

    def __getitem__(cls, capacity: int) -> StructMeta:
        """``Sma[1024]``: the same class with its windows 1,024 long."""
        if not isinstance(capacity, int) or capacity < 1:
            raise TypeError(f"{cls.__name__}[{capacity!r}]: the capacity must be an integer of at least 1")
        cached: StructMeta | None = _SIZED.get((cls, capacity))
        if cached is None:
            resized = {n: _resize(t, capacity) for n, t in cls.__fields__.items()}
            if resized == cls.__fields__ and capacity != DEFAULT_WINDOW:
                raise TypeError(f"{cls.__name__} has no window, so it takes no capacity")
            ns: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__annotations__": {}}
            cached = StructMeta(f"{cls.__name__}[{capacity}]", (cls,), ns)
            cached.__fields__ = resized
            _SIZED[cls, capacity] = cached
        return cached


_SIZED: dict[tuple[StructMeta, int], StructMeta] = {}


def _resize(t: Any, capacity: int) -> Any:
    if isinstance(t, ArraySpec):
        return ArraySpec(_resize(t.item, capacity), capacity if t.sized else t.n, t.sized)
    if isinstance(t, StructMeta) and any(_resize(f, capacity) != f for f in t.__fields__.values()):
        return t[capacity]
    return t


def _resolve(cls_name: str, ns: dict[str, Any], frame: FrameType) -> dict[str, Any]:
    """The class body's own annotations as types; postponed ones (text) are evaluated."""
    out = {}
    for field, raw in ns.get("__annotations__", {}).items():
        hint = raw
        if isinstance(hint, str):
            if hint.startswith("ClassVar"):
                continue
            hint = eval(hint, frame.f_globals, {**frame.f_locals, **ns})  # the user's own annotation
        if getattr(hint, "__origin__", None) is ClassVar or hint is ClassVar:
            continue
        if not (hint in SCALARS or isinstance(hint, (ArraySpec, StructMeta))):
            raise TypeError(
                f"{cls_name}.{field}: a field is float, int, bool, an indicator (or other Struct) "
                f"or array(item, n), not {hint!r}"
            )
        out[field] = hint
    return out


def _make(t: Any, default: Any = None) -> Any:
    if isinstance(t, ArraySpec):
        if default is not None:
            return [t.item(v) for v in default]
        return [t.item()] * t.n if t.item in SCALARS else [_make(t.item) for _ in range(t.n)]
    if t in SCALARS:
        return t(0 if default is None else default)
    return t(**(default or {}))


class Struct(metaclass=StructMeta):
    """Base of every class that can be compiled. Fields start at zero or at their default."""

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        unknown = values.keys() - cls.__fields__.keys()
        if unknown:
            raise TypeError(f"{cls.__name__} has no field {sorted(unknown)}")
        numbers, others = _defaults(cls)
        for name, number in numbers:
            setattr(self, name, number)
        for name, t, default in others:
            setattr(self, name, _make(t, default))
        for name, value in values.items():
            setattr(self, name, _make(cls.__fields__[name], value))


def _defaults(cls: Any) -> tuple[list[tuple[str, Any]], list[tuple[str, Any, Any]]]:
    """The numbers that fields begin with, and what the other fields are made of. Found once for each class: a
    broker has thousands of structs."""
    if "__starts__" not in cls.__dict__:
        given = {name: (t, cls.__defaults__.get(name)) for name, t in cls.__fields__.items()}
        cls.__starts__ = (
            [(name, _make(t, default)) for name, (t, default) in given.items() if t in SCALARS],
            [(name, t, default) for name, (t, default) in given.items() if t not in SCALARS],
        )
    starts: tuple[list[tuple[str, Any]], list[tuple[str, Any, Any]]] = cls.__starts__
    return starts


def dtype_of(t: Any) -> Any:
    """The NumPy dtype (aligned, as C lays it out) of a field type or Struct class."""
    import numpy as np

    if isinstance(t, ArraySpec):
        return np.dtype((dtype_of(t.item), (t.n,)))
    if t in SCALARS:
        return np.dtype(SCALARS[t])
    if "__dtype__" not in t.__dict__:
        t.__dtype__ = np.dtype([(n, dtype_of(f)) for n, f in t.__fields__.items()], align=True)
    return t.__dtype__


def _values(obj: Struct) -> tuple[Any, ...]:
    """The struct as nested tuples, the form NumPy converts fastest."""
    out: list[Any] = []
    for name, t in type(obj).__fields__.items():
        value = getattr(obj, name)
        if isinstance(t, ArraySpec):
            out.append(value if t.item in SCALARS else [_values(item) for item in value])
        else:
            out.append(value if t in SCALARS else _values(value))
    return tuple(out)


def _assign(values: Any, obj: Struct) -> None:
    for (name, t), value in zip(type(obj).__fields__.items(), values, strict=True):
        if isinstance(t, ArraySpec):
            if t.item in SCALARS:
                setattr(obj, name, value.tolist())
            else:
                for row, item in zip(value.tolist(), getattr(obj, name), strict=True):
                    _assign(row, item)
        elif t in SCALARS:
            setattr(obj, name, value)
        else:
            _assign(value, getattr(obj, name))


def record(obj: Struct) -> Any:
    """A one-element array holding a copy of ``obj``."""
    import numpy as np

    out = np.zeros(1, dtype_of(type(obj)))  # padding too: equal structs are equal bytes
    out[0] = _values(obj)
    return out


def from_record(rec: Any, obj: Struct) -> None:
    """Copy a NumPy record (one row of ``record``'s array) back into a struct: a checkpoint, a replay."""
    _assign(rec.item(), obj)


def params_of(cls: StructMeta) -> Mapping[str, Param]:
    """The declared parameters of a strategy class, in order of declaration."""
    return cls.__params__
