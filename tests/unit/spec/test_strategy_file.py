from __future__ import annotations

import inspect
import os
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.runtime.loader import (
    LoadedStrategy,
    check_params,
    code_digest,
    load_strategy,
    parse_setting,
    parse_settings,
)
from sigma_bot.spec import StrategyRef

GOOD = """\
from __future__ import annotations

from dataclasses import dataclass

from sigma_bot.kernel.struct import param
from sigma_bot.strategy import Strategy


@dataclass
class Note:
    text: str = "kept"


class Cross(Strategy):
    fast: int = param(12, ge=1, le=200)
    share: float = param(1)
    up: bool = param(True)
    seen: int

    def on_bar(self, bar, broker):
        self.seen += 1
"""
HEAD = "from sigma_bot.kernel.struct import param\nfrom sigma_bot.strategy import Strategy\n"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | None = None, file: str = "cross.py", **fields: Any) -> LoadedStrategy:
    if text is not None:
        Path(file).write_text(text)
    return load_strategy(StrategyRef.model_validate({"file": file, **fields}), Path())


def refusal(text: str, **fields: Any) -> str:
    with pytest.raises(BadInputError) as caught:
        load(text, **fields)
    return str(caught.value)


# ---- what works


def test_the_only_strategy_of_a_file_is_found_and_built() -> None:
    loaded = load(GOOD, params={"fast": 3, "share": 2})
    assert loaded.cls.__name__ == "Cross"
    assert loaded.params == {"fast": 3, "share": 2.0, "up": True}
    assert type(loaded.params["share"]) is float
    assert (loaded.instance.fast, loaded.instance.seen) == (3, 0)  # type: ignore[attr-defined]
    assert loaded.name == "cross.py"
    assert loaded.helpers == ()


def test_defaults_come_in_their_declared_types() -> None:
    assert repr(load(GOOD).params) == "{'fast': 12, 'share': 1.0, 'up': True}"


def test_a_file_is_an_ordinary_module() -> None:
    """Source, dataclasses and annotations work; the module's name stays the same."""
    cls = load(GOOD).cls
    assert "self.seen += 1" in inspect.getsource(cls.on_bar)
    module = sys.modules[cls.__module__]
    assert module.Note().text == "kept"
    assert typing.get_type_hints(module.Note) == {"text": str}
    assert load(GOOD).cls.__module__ == cls.__module__


def test_code_in_the_manifest_works_as_a_file_does() -> None:
    loaded = load_strategy(StrategyRef(code=GOOD), Path())  # type: ignore[call-arg] # the checker does not see the default
    assert loaded.digest == load(GOOD).digest
    assert "self.seen += 1" in inspect.getsource(loaded.cls.on_bar)
    assert loaded.name == "spec.strategy.code"


def test_the_functions_that_depend_on_the_c_library_are_known() -> None:
    text = HEAD + "import math\ndef f(x):\n    return math.log(x) + math.sqrt(x)\nclass A(Strategy):\n"
    assert load(text + "    def on_bar(self, bar, broker):\n        f(bar.close)\n").libm == ("log",)
    assert load(text + "    def on_bar(self, bar, broker):\n        math.floor(bar.close)\n").libm == ()


def test_a_class_is_chosen_by_name_also_an_imported_one() -> None:
    Path("base.py").write_text(HEAD + "class Base(Strategy):\n    pass\n")
    text = "from base import Base\nclass A(Base): ...\nclass B(Base): ...\n"
    assert load(text, **{"class": "B"}).cls.__name__ == "B"
    assert load(text, **{"class": "Base"}).cls.__name__ == "Base"


def test_helpers_beside_the_file_are_imported_and_never_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second text has the size and time of the first: cached bytecode would be taken."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    text = HEAD + "import helper\nclass A(Strategy):\n    n: int = param(helper.N)\n"
    for n in "12":
        Path("helper.py").write_text(f"N = {n}\n")
        os.utime("helper.py", (10**9, 10**9))
        assert load(text).params == {"n": int(n)}


def test_helpers_of_two_folders_are_not_mixed_up() -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, "helper.py").write_text(f"NAME = {folder!r}\n")
        Path(folder, "s.py").write_text(
            HEAD + "from helper import NAME\nclass A(Strategy):\n    WORD = NAME\n"
        )
    for folder in ("one", "two", "one"):
        assert folder == load(file=f"{folder}/s.py").cls.WORD  # type: ignore[attr-defined]


def test_the_standard_library_comes_before_a_file_of_its_name() -> None:
    Path("random.py").write_text("raise RuntimeError\n")
    load(HEAD + "import random\nrandom.random()\nclass A(Strategy): ...\n")


# ---- the digest


def test_the_digest_covers_every_helper_that_is_imported() -> None:
    Path("pack/inner").mkdir(parents=True)
    files = {
        "helper.py": "from pack.inner import deep\n",
        "pack/__init__.py": "from . import side\n",
        "pack/side.py": "S = 1\n",
        "pack/inner/__init__.py": "",
        "pack/inner/deep.py": "from ..low import L\n",
        "pack/low.py": "L = 1\n",
        "late.py": "X = 1\n",
        "unused.py": "U = 1\n",
    }
    for name, text in files.items():
        Path(name).write_text(text)
    code = HEAD + "import helper\nclass A(Strategy):\n    def on_start(self):\n        import late\n"
    loaded = load(code)
    names = {path.relative_to(Path.cwd()).as_posix() for path in loaded.helpers}
    assert names == files.keys() - {"unused.py"}
    assert loaded.digest == code_digest("cross.py")
    for name in names:
        Path(name).write_text(files[name] + "# changed\n")
        changed = code_digest("cross.py")
        assert (changed != loaded.digest) == (name in names), name
        Path(name).write_text(files[name])
    Path("unused.py").write_text("U = 2\n")
    assert code_digest("cross.py") == loaded.digest


def test_the_digest_knows_neither_place_nor_line_endings() -> None:
    first = load(GOOD).digest
    Path("elsewhere").mkdir()
    Path("elsewhere/other.py").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert code_digest("elsewhere/other.py") == first


def test_a_helper_imported_by_a_computed_name_is_seen_when_it_runs() -> None:
    Path("helper.py").write_text("N = 1\n")
    text = HEAD + "import importlib\nN = importlib.import_module('hel' + 'per').N\nclass A(Strategy): ...\n"
    first = load(text).digest
    Path("helper.py").write_text("N = 2\n")
    assert load(text).digest != first


# ---- what the user did wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\nclass A(:\n    pass\n", "cross.py:2: invalid syntax\n    class A(:\n            ^"),
        ("if True:\nx = 1\n", "cross.py:2: expected an indented block"),
        ("import pandas_taa\n", "cross.py:1: no module named 'pandas_taa'; install it, or put"),
        ("import helpr\n", "cross.py:1: no module named 'helpr'; did you mean 'helper'?\n    import helpr"),
        (
            "from sigma_bot.strategy import Strateg\n",
            "cross.py:1: cannot import name 'Strateg' from 'sigma_bot.strategy'; did you mean 'Strategy'?",
        ),
        (
            "def f():\n    return 1 / 0\nf()\n",
            "cross.py:2: failed while it was imported: ZeroDivisionError: division by zero\n    return 1 / 0",
        ),
        ("import broken\n", "broken.py:2: invalid syntax"),
        ("import raising\n", "raising.py:1: failed while it was imported: KeyError: 'x'"),
        ("raise SystemExit(0)\n", "cross.py:1: failed while it was imported: SystemExit: 0"),
        (
            HEAD + "class A(Strategy):\n    x: str\n",
            "cross.py:3: failed while it was imported: TypeError: A.x: a field is float, int, bool",
        ),
        (
            HEAD + "class A(Strategy):\n    n: int = param(5, le=3)\n",
            "cross.py:4: failed while it was imported: TypeError: param(5)",
        ),
        (
            HEAD + "class A(Strategy):\n    n: int = param(1.5)\n",
            "cross.py:4: A.n: the default must be a whole number, got 1.5",
        ),
        (
            HEAD + "class A(Strategy): ...\nclass B(Strategy): ...\n",
            "cross.py: defines A, B; name one in spec.strategy.class",
        ),
        ("", "cross.py: defines no strategy: write class MyStrategy(Strategy): ..."),
        (
            HEAD + "class A(Strategy):\n    def __init__(self, **v):\n        raise ValueError('no')\n",
            "cross.py:5: A() failed: ValueError: no",
        ),
    ],
    ids=lambda v: v[-30:],
)
def test_a_fault_of_the_file_names_its_line(text: str, says: str) -> None:
    Path("helper.py").touch()
    Path("broken.py").write_text("\ndef (:\n")
    Path("raising.py").write_text("{}['x']\n")
    assert says in refusal(text)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("Cros", "cross.py: spec.strategy.class: there is no class 'Cros'; did you mean 'Cross'?"),
        ("Zzzz", "cross.py: spec.strategy.class: there is no class 'Zzzz'; it defines Cross"),
        ("Note", "cross.py:10: Note is no strategy; write class Note(Strategy): ..."),
    ],
)
def test_a_wrong_class_is_named_with_what_would_be_right(wanted: str, says: str) -> None:
    assert refusal(GOOD, **{"class": wanted}) == says


def test_a_missing_file_is_named_with_the_nearest_one() -> None:
    Path("cross.py").touch()
    with pytest.raises(BadInputError, match=r"cros\.py: no such strategy file; did you mean 'cross\.py'\?"):
        load(file="cros.py")


def test_a_file_that_is_no_text() -> None:
    Path("cross.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(BadInputError, match=r"cross\.py: is not Python source text"):
        load()


def test_a_file_that_failed_leaves_no_module_behind() -> None:
    before = set(sys.modules)
    refusal("import json\nx = 1 / 0\n")
    assert not {n for n in sys.modules if n.startswith("sigma_strategy_")} - before


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"fast": 3.0}, "spec.strategy.params.fast: must be a whole number, got 3.0 (cross.py:15)"),
        ({"fast": True}, "spec.strategy.params.fast: must be a whole number, got true (cross.py:15)"),
        ({"share": False}, "spec.strategy.params.share: must be a number, got false (cross.py:16)"),
        ({"up": 1}, "spec.strategy.params.up: must be true or false, got 1 (cross.py:17)"),
        ({"fast": 0}, "spec.strategy.params.fast: must be at least 1, got 0 (cross.py:15)"),
        ({"fast": 201}, "spec.strategy.params.fast: must be at most 200, got 201 (cross.py:15)"),
        (
            {"fas": 1},
            "spec.strategy.params.fas: Cross has no parameter 'fas'; did you mean 'fast'? (cross.py:14)",
        ),
        (
            {"zz": 1},
            "spec.strategy.params.zz: Cross has no parameter 'zz'; it has fast, share, up (cross.py:14)",
        ),
        ({"seen": 1}, "spec.strategy.params.seen: Cross.seen is a field, not a parameter"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_declaration(params: dict[str, float], says: str) -> None:
    assert says in refusal(GOOD, params=params)


def test_every_wrong_parameter_is_reported_at_once() -> None:
    cls = load(GOOD).cls
    with pytest.raises(BadInputError) as caught:
        check_params(cls, {"fast": 0, "up": 1, "zz": 1})
    assert str(caught.value).count("spec.strategy.params.") == 3


def test_a_strategy_without_parameters_says_so() -> None:
    says = "A has no parameters; declare one with fast: int = param(...)"
    assert says in refusal(HEAD + "class A(Strategy): ...\n", params={"fast": 1})


# ---- --set


def test_settings_take_the_declared_type() -> None:
    cls = load(GOOD).cls
    assert parse_settings(cls, ["fast=8", " share = 1e-3", "up=FALSE"]) == {
        "fast": 8,
        "share": 0.001,
        "up": False,
    }
    assert type(parse_setting(cls, "share=2")[1]) is float


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast", "--set fast: must be name=value, like --set fast=8"),
        ("=8", "--set =8: must be name=value"),
        ("fast=1.5", "--set fast=1.5: must be a whole number, got '1.5'"),
        ("fast=", "--set fast=: must be a whole number, got ''"),
        ("share=x", "--set share=x: must be a number, got 'x'"),
        ("share=nan", "--set share=nan: must be a finite number"),
        ("up=1", "--set up=1: must be true or false, got '1'"),
        ("fast=0", "--set fast=0: must be at least 1, got 0"),
        ("fas=1", "--set fas=1: Cross has no parameter 'fas'; did you mean 'fast'?"),
    ],
)
def test_a_wrong_setting(text: str, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_setting(load(GOOD).cls, text)
    assert str(caught.value).startswith(says)
