"""From the user's Python file to an instance of his strategy class, with errors that name his file and line.

The file is run as a module under a private name that stays the same for the same file, so dataclasses,
annotations, ``inspect.getsource`` and tracebacks work. Modules and packages beside the file can be imported,
as if it were run as a script, except that the standard library comes before them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import linecache
import math
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.kernel.struct import Param, params_of
from sigma_bot.spec.blocks import StrategyRef
from sigma_bot.strategy import Strategy

Value = bool | int | float
CALLBACKS = ("on_start", "on_tick", "on_bar", "on_fill", "on_stop")
_NOT_LOCAL = sys.stdlib_module_names | {"sigma_bot"}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class LoadedStrategy:
    """A strategy ready to run, and where it came from.

    ``params`` holds every parameter, defaults included; ``name`` is the file as messages show it; ``digest``
    is the sha256 of the code, that is of the file and of the ``helpers`` beside it.
    """

    cls: type[Strategy]
    instance: Strategy
    params: dict[str, Value]
    name: str
    digest: str
    helpers: tuple[Path, ...] = ()

    @cached_property
    def libm(self) -> tuple[str, ...]:
        """The functions of the C library it may call whose last bit differs between machines."""
        from sigma_bot.kernel.call_graph import call_graph
        from sigma_bot.kernel.subset import libm_used

        callbacks = [getattr(self.cls, name) for name in CALLBACKS]
        return tuple(libm_used(call_graph(callbacks, [self.cls])))


def load_strategy(ref: StrategyRef, base: Path) -> LoadedStrategy:
    """The strategy a manifest names; ``base`` is the folder its relative path starts from."""
    if ref.code is not None:
        code, file, beside = ref.code, f"<strategy {_sha(ref.code)[:12]}>", None
        # A cache entry without a time is never dropped, so the source of inline code stays readable.
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    else:
        path = base / str(ref.file)
        code, file = _read(path), str(path.resolve())
        beside = _Beside(Path(file).parent)
    cls = _find(_run(code, file, beside), ref.class_name, file)
    helpers = {} if beside is None else _helpers(Path(file), code, beside.files)
    defaults = {name: cls.__fields__[name](param.default) for name, param in params_of(cls).items()}
    params = defaults | check_params(cls, ref.params)
    with _users_fault(file, beside, f"{cls.__name__}() failed"):
        instance = cls(**params)
    return LoadedStrategy(
        cls, instance, params, shown(file), _digest(code, helpers), tuple(sorted(helpers.values()))
    )


def code_digest(file: str | Path) -> str:
    """sha256 (hex) over a strategy file's text and the texts of the local modules that it imports.

    They are found by reading the import statements; a module imported by a computed name is missed. Neither
    the file's place nor its line endings count.
    """
    code = _read(Path(file))
    return _digest(code, _helpers(Path(file).resolve(), code))


def parse_settings(cls: type[Strategy], texts: Iterable[str]) -> dict[str, Value]:
    """``["fast=8", "up=true"]`` as parameters, each by its declared type. Raises BadInputError."""
    return dict(parse_setting(cls, text) for text in texts)


def parse_setting(cls: type[Strategy], text: str) -> tuple[str, Value]:
    """``"fast=8"`` as name and value, by the declared type of the parameter. Raises BadInputError."""
    where = f"--set {text}"
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        example = next(iter(params_of(cls)), "fast")
        raise BadInputError(f"{where}: must be name=value, like --set {example}=8")
    _known(cls, name, where)
    kind = cls.__fields__[name]
    try:
        number: Value = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        raise BadInputError(f"{where}: must be {_WORDS[kind]}, got {value!r}") from None
    if problem := _problem(kind, params_of(cls)[name], number):
        raise BadInputError(f"{where}: {problem} ({declared_at(cls, name)})")
    return name, number


def check_params(cls: type[Strategy], params: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters in their declared types. Raises BadInputError with a line for each that is wrong."""
    out: dict[str, Value] = {}
    problems = []
    for name, value in params.items():
        where = f"spec.strategy.params.{name}"
        try:
            _known(cls, name, where)
        except BadInputError as e:
            problems.append(str(e))
            continue
        kind = cls.__fields__[name]
        if problem := _problem(kind, params_of(cls)[name], value):
            problems.append(f"{where}: {problem} ({declared_at(cls, name)})")
        else:
            out[name] = kind(value)
    if problems:
        raise BadInputError("\n".join(problems))
    return out


def _known(cls: type[Strategy], name: str, where: str) -> None:
    known = params_of(cls)
    if name in known:
        return
    if name in cls.__fields__:
        text = f"{cls.__name__}.{name} is a field, not a parameter; declare it with param() to set it"
    elif known:
        near = nearest(name, known) or f"; it has {', '.join(known)}"
        text = f"{cls.__name__} has no parameter {name!r}{near}"
    else:
        text = f"{cls.__name__} has no parameters; declare one with {name}: int = param(...)"
    raise BadInputError(f"{where}: {text} ({declared_at(cls)})")


def _problem(kind: type, param: Param, value: Value) -> str | None:
    """What is wrong with a value for a parameter of this type, or None."""
    fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        return f"must be {_WORDS[kind]}, got {shown}"
    if not math.isfinite(value) or abs(value) >= 2**63:
        return f"must be a finite number of 64 bits, got {value}"
    return param.problem(value)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> str:
    if not path.exists():
        names = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise BadInputError(f"{path}: no such strategy file{nearest(path.name, names)}")
    try:
        return importlib.util.decode_source(path.read_bytes())
    except (UnicodeDecodeError, SyntaxError) as e:
        raise BadInputError(f"{path}: is not Python source text: {e}") from None
    except OSError as e:
        raise BadInputError(f"{path}: cannot be read: {e.strerror}") from None


# ---- running the file


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the text each time: cached bytecode is compared by whole seconds, too coarse for an edit."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Beside(importlib.abc.MetaPathFinder):
    """Finds the modules that lie beside the strategy, and remembers their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[str] = set()

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        """The spec of a module under the folder, or None."""
        del target
        if name.partition(".")[0] in _NOT_LOCAL:
            return None
        for entry in [str(self.folder)] if path is None else path:
            if Path(entry).is_relative_to(self.folder):
                spec = importlib.machinery.FileFinder(str(entry), (_FreshLoader, [".py"])).find_spec(name)
                if spec is not None and spec.loader is not None:
                    self.files.add(str(spec.origin))
                    return spec
        return None


def _run(code: str, file: str, beside: _Beside | None) -> ModuleType:
    """Run the source as a module. Helpers of an earlier strategy, or of an older text, are not reused."""
    for name in [
        n for n, m in sys.modules.items() if isinstance(getattr(m, "__loader__", None), _FreshLoader)
    ]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Beside)]
    if beside is not None:
        sys.meta_path.insert(0, beside)
    module = ModuleType(f"sigma_strategy_{_sha(file)[:16]}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    try:
        with _users_fault(file, beside, "failed while it was imported"):
            exec(compile(code, file, "exec", dont_inherit=True), module.__dict__)
    except BadInputError:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def _users_fault(file: str, beside: _Beside | None, what: str) -> Iterator[None]:
    """Whatever the user's code raises becomes a BadInputError with the last place in his own files."""
    try:
        yield
    except (Exception, SystemExit) as e:
        files = {file} | (set() if beside is None else beside.files)
        raise BadInputError(_blame(e, file, files, what)) from e


def _blame(e: BaseException, file: str, files: set[str], what: str) -> str:
    if isinstance(e, SyntaxError) and e.filename in files:
        line = (e.text or "").rstrip("\n")
        code = line.lstrip()
        caret = " " * max(0, (e.offset or 1) - 1 - (len(line) - len(code))) + "^"
        return f"{shown(e.filename)}:{e.lineno}: {e.msg}\n    {code}\n    {caret}"
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename in files]
    where = f"{shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else shown(file)
    text = frames[-1].line if frames else None
    if isinstance(e, ModuleNotFoundError) and e.name is not None:
        near = nearest(e.name, {Path(f).stem for f in Path(file).parent.glob("*.py")} | {"sigma_bot"})
        problem = (
            f"no module named {e.name!r}{near or f'; install it, or put {e.name}.py beside the strategy'}"
        )
    elif isinstance(e, ImportError):
        wanted = re.search(r"cannot import name '(\w+)'", str(e))
        module = sys.modules.get(e.name or "")
        names = {*dir(module), *getattr(module, "__all__", ())}
        problem = f"{str(e).partition(' (')[0]}{nearest(wanted[1], names) if wanted else ''}"
    else:
        problem = f"{what}: {type(e).__name__}: {e}"
    return f"{where}: {problem}" + (f"\n    {text}" if text else "")


def shown(file: str) -> str:
    """A file as a message shows it: from the working directory when it lies below."""
    if file.startswith("<"):
        return "spec.strategy.code"
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    return file if relative.startswith("..") else relative


# ---- the class in it


def _find(module: ModuleType, wanted: str | None, file: str) -> type[Strategy]:
    own = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
        if name == value.__name__
    ]
    names = [cls.__name__ for cls in own]
    if wanted is None and len(own) != 1:
        held = (
            f"defines {', '.join(names)}; name one in spec.strategy.class" if own else "defines no strategy"
        )
        remedy = "" if own else ": write class MyStrategy(Strategy): ..."
        raise BadInputError(f"{shown(file)}: {held}{remedy}")
    found = own[0] if wanted is None else vars(module).get(wanted)
    if found is None:
        held = nearest(str(wanted), names) or (f"; it defines {', '.join(names)}" if names else "")
        raise BadInputError(f"{shown(file)}: spec.strategy.class: there is no class {wanted!r}{held}")
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        where = _place(file, str(wanted))
        raise BadInputError(f"{where}: {wanted} is no strategy; write class {wanted}(Strategy): ...")
    _check_declarations(found)
    return found


def _check_declarations(cls: type[Strategy]) -> None:
    for name, declared in params_of(cls).items():
        kind = cls.__fields__[name]
        if kind not in _WORDS:
            raise BadInputError(
                f"{declared_at(cls, name)}: {cls.__name__}.{name}: a parameter is int, float or bool"
            )
        if problem := _problem(kind, declared, declared.default):
            raise BadInputError(f"{declared_at(cls, name)}: {cls.__name__}.{name}: the default {problem}")


def declared_at(cls: type, field: str | None = None) -> str:
    """``file:line`` of a class of the user's, or of the field it (or a base of his) declares."""
    for base in cls.__mro__:
        module = sys.modules.get(base.__module__)
        file = getattr(module, "__file__", None)
        if file is not None and (field is None or field in inspect.get_annotations(base)):
            return _place(file, base.__name__, field)
    return cls.__name__


def _place(file: str, cls: str, field: str | None = None) -> str:
    linecache.checkcache(file)
    tree = ast.parse("".join(linecache.getlines(file)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls:
            lines = {ast.unparse(f.target): f.lineno for f in node.body if isinstance(f, ast.AnnAssign)}
            return f"{shown(file)}:{lines.get(field or '', node.lineno)}"
    return shown(file)


# ---- what it imports


def _digest(code: str, helpers: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    texts = {"": code, **{name: _read(path) for name, path in helpers.items()}}
    for name, text in sorted(texts.items()):
        for part in (name, text):
            data = part.encode()
            total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def _helpers(file: Path, code: str, also: Iterable[str] = ()) -> dict[str, Path]:
    """The modules under the file's folder that it imports, by their names relative to it."""
    folder = file.parent
    found: dict[str, Path] = {}
    queue = [(file, code), *((Path(f), _read(Path(f))) for f in also)]
    found.update({Path(f).relative_to(folder).as_posix(): Path(f) for f in also})
    while queue:
        importer, text = queue.pop()
        for path in _imported(importer, text, folder):
            name = path.relative_to(folder).as_posix()
            if path != file and name not in found:
                found[name] = path
                queue.append((path, _read(path)))
    return found


def _imported(importer: Path, text: str, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return  # running it says more than we could here
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(folder, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            start = folder if node.level == 0 else importer.parents[node.level - 1]
            if start.is_relative_to(folder):
                for alias in node.names:
                    yield from _module_files(start, [*parts, alias.name], relative=node.level > 0)


def _module_files(start: Path, parts: list[str], relative: bool = False) -> Iterator[Path]:
    """The files that importing ``a.b.c`` runs, as far as they lie under ``start``."""
    if not relative and parts[0] in _NOT_LOCAL:
        return
    for part in parts:
        if (start / part / "__init__.py").is_file():
            start = start / part
            yield start / "__init__.py"
        else:
            if (start / f"{part}.py").is_file():
                yield start / f"{part}.py"
            return
