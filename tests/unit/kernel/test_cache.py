"""The cache: what changes an entry's name, what does not, and what becomes of damaged or unwritable ones."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigma_bot.kernel.cache import KEEP, Cache, Entry, default_cache
from sigma_bot.kernel.call_graph import call_graph
from sigma_bot.kernel.digest import NotCacheableError, digest_of
from sigma_bot.kernel.jit import compile_engine, compile_entry, libm_functions
from sigma_bot.kernel.struct import record
from tests.unit.kernel.harness import COLUMNS, Row, loop, module_of

SOURCE = """
FACTOR = 3.0
TABLE = (1.0, 2.0)
class Side(enum.IntEnum):
    BUY = 1
def helper(x, k=2.0):
    return x * FACTOR * k
class Track(Struct):
    value: float
    def update(self, x):
        self.value += x
        return self.value
    @property
    def double(self):
        return self.value * 2.0
class Plan(Struct):
    RATE = 0.5
    length: int = 12
    total: float
    track: Track
    w: array(float, 4)
    def step(self, t):
        self.total += helper(self.track.update(t.x)) + self.track.double * self.RATE
        self.total += TABLE[0] + Side.BUY
    def report(self):
        return f"{self.total}"
"""

# what is edited → (old, new text, whether the entry's name changes)
EDITS = {
    "a constant of the module": ("FACTOR = 3.0", "FACTOR = 4.0", True),
    "a tuple of the module": ("TABLE = (1.0, 2.0)", "TABLE = (1.5, 2.0)", True),
    "an enum": ("BUY = 1", "BUY = 2", True),
    "a helper": ("x * FACTOR * k", "x + FACTOR * k", True),
    "a helper's default": ("k=2.0", "k=3.0", True),
    "an indicator's method": ("self.value += x", "self.value -= x", True),
    "an indicator's property": ("self.value * 2.0", "self.value * 3.0", True),
    "the body": ("self.total += helper", "self.total -= helper", True),
    "a class constant": ("RATE = 0.5", "RATE = 0.25", True),
    "a field's type": ("total: float", "total: int", True),
    "an array's length": ("array(float, 4)", "array(float, 5)", True),
    "a field's name": ("w: array", "weights: array", True),
    "a parameter's default": ("length: int = 12", "length: int = 99", False),
    "a comment and the lines": ("FACTOR = 3.0", "# about factors\n\nFACTOR = 3.0", False),
    "a method that is never called": ('f"{self.total}"', '"nothing"', False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def digest(folder: Path, text: str, name: str = "plan") -> str:
    return digest_of(call_graph([loop], (Row, module_of(folder, text, name).Plan)))


@pytest.mark.parametrize("edit", EDITS)
def test_names_follow_what_is_compiled(folder: Path, edit: str) -> None:
    old, new, changes = EDITS[edit]
    assert old in SOURCE
    before, after, back = (digest(folder, text) for text in (SOURCE, SOURCE.replace(old, new), SOURCE))
    assert (before != after) is changes
    assert back == before


def test_place_of_the_file_does_not_matter(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    assert digest(folder, SOURCE) == digest(folder / "elsewhere", SOURCE)


def test_arguments_engine_and_machine_are_part_of_the_name(folder: Path) -> None:
    reached = call_graph([loop], (Row, module_of(folder, SOURCE).Plan))
    assert len({digest_of(reached, [e]) for e in ("a", "b", ["i8[]"], ["f8[]"])}) == 4


def test_unknown_kinds_of_globals_are_not_cached(folder: Path) -> None:
    text = SOURCE.replace("FACTOR = 3.0", "FACTOR = np.float64(3.0) * np.ones(1)")
    with pytest.raises(NotCacheableError, match=r"helper uses FACTOR, a ndarray"):
        digest(folder, text)


ENTRY = Entry(["a", "b"], ["c"], bytes(range(256)) * 10)


def test_entries_come_back_whole_or_not_at_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "folder")
    assert cache.read("x") is None
    cache.write("x", ENTRY)
    assert cache.read("x") == ENTRY
    (path,) = (tmp_path / "deep" / "folder").iterdir()
    data = path.read_bytes()
    for damaged in (b"", data[:10], data[:-1], data[:200] + b"!" + data[201:]):
        path.write_bytes(damaged)
        assert cache.read("x") is None
    cache.write("x", ENTRY)
    assert cache.read("x") == ENTRY


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = Cache(blocked / "cache")
    with caplog.at_level(logging.WARNING):
        cache.write("x", ENTRY)
        cache.write("y", ENTRY)
    assert cache.read("x") is None
    assert len(caplog.records) == 1
    assert str(blocked) in caplog.text
    assert cache.problem


def test_old_entries_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for k in range(KEEP):
        path = tmp_path / f"{k}.sxo"
        path.write_bytes(b"")
        os.utime(path, (k, k))
    cache.write("new", ENTRY)
    assert len(list(tmp_path.iterdir())) == KEEP
    assert not (tmp_path / "0.sxo").exists()
    assert cache.read("new") == ENTRY


def test_the_place_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA_CACHE", str(tmp_path))
    assert default_cache().folder == tmp_path
    monkeypatch.delenv("SIGMA_CACHE")
    assert default_cache().folder == Path.home() / ".cache" / "sigma-x"


def run(plan: type, folder: Path) -> tuple[bool, float]:
    made = compile_entry(loop, (Row, plan), COLUMNS, cache=Cache(folder))
    state, row, xs = record(plan()), record(Row()), np.arange(5.0)
    assert made.call(row.ctypes.data, state.ctypes.data, xs, xs, 0, 5) == 5
    return made.cached, float(state["total"][0])


def test_damaged_code_is_compiled_again(folder: Path) -> None:
    plan, kept = module_of(folder, SOURCE).Plan, folder / "kept"
    assert run(plan, kept) == (False, 150.0)
    (path,) = kept.iterdir()
    good = Cache(kept).read(path.stem)
    assert good is not None
    Cache(kept).write(path.stem, Entry(good.exports, good.imports, b"\x7fELF, but no more"))
    assert run(plan, kept) == (False, 150.0)
    assert run(plan, kept) == (True, 150.0)
    path.write_bytes(path.read_bytes()[:100])
    assert run(plan, kept) == (False, 150.0)


PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
sys.path[:0] = {paths!r}
from tests.unit.kernel.harness import COLUMNS, Row, loop
from sigma_bot.kernel.jit import compile_engine, compile_entry
from sigma_bot.kernel.struct import record
import {module} as made
linked = compile_engine({{made.deal: (float, Row, float)}})
entry = compile_entry(loop, (Row, made.Plan), COLUMNS, linked)
state, row, xs = record(made.Plan()), record(Row()), np.arange(5.0)
assert entry.call(row.ctypes.data, state.ctypes.data, xs, xs, 0, 5) == 5
facts = [linked.cached, entry.cached, float(state["total"][0]), "numba" in sys.modules]
print(json.dumps(facts))
"""
ENGINE = "\ndef deal(t, x):\n    t.y += x\n    return t.y * ENGINE_RATE\nENGINE_RATE = 2.0\n"
LINKED = (SOURCE + ENGINE).replace("self.total += TABLE", "self.total += deal(t, t.x) + TABLE")


def start(folder: Path, cache: Path, text: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    module_of(folder, text, "plan_of_process")
    root = Path(__file__).parents[3]
    paths = [str(folder), str(root), str(root / "bot")]
    program = PROGRAM.format(paths=paths, module="plan_of_process")
    environment = {**os.environ, "SIGMA_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )


def facts(process: subprocess.Popen[str]) -> list[object]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: list[object] = json.loads(out)
    return found


def test_processes_share_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    both = [start(tmp_path / name, cache, LINKED) for name in ("one", "two")]  # fill it at once
    expected = 190.0
    for process in both:
        assert facts(process)[2] == expected
    # found by a third process, in another folder, without Numba
    assert facts(start(tmp_path / "three", cache, LINKED)) == [True, True, expected, False]
    # another engine constant: neither the engine nor what is linked to it is found
    changed = LINKED.replace("ENGINE_RATE = 2.0", "ENGINE_RATE = 3.0")
    assert facts(start(tmp_path / "four", cache, changed)) == [False, False, 210.0, True]
    # reverted: found again
    assert facts(start(tmp_path / "one", cache, LINKED))[:3] == [True, True, expected]
    assert not [p for p in cache.iterdir() if p.name.startswith(".")]


def test_what_depends_on_the_c_library(folder: Path) -> None:
    text = SOURCE.replace(
        "self.total += TABLE[0]", "self.total += math.log(2.0) ** 2 + math.sqrt(4.0) + math.fmod(3.0, 2.0)"
    )
    assert libm_functions(loop, (Row, module_of(folder, text).Plan)) == ["log", "pow"]
    assert libm_functions(loop, (Row, module_of(folder, SOURCE).Plan)) == []


LIBM = """
class Plan(Struct):
    total: float
    def step(self, t):
        self.total += math.exp(t.x) + (t.x + 0.1) ** 2 + math.log1p(t.x)
"""
LIBM_PROGRAM = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from tests.unit.kernel.harness import Pair
import {module} as made
xs = np.random.default_rng(1).uniform(0.0, 3.0, 20_000)
pair = Pair(made.Plan, __import__("pathlib").Path({folder!r}))
pair.check(xs, xs)
print(pair.compiled(xs, xs)[0].hex())
"""


def test_both_executions_follow_the_c_library(tmp_path: Path) -> None:
    """glibc picks other code for exp, log and pow without FMA; the two executions change together."""
    module_of(tmp_path, LIBM, "plan_of_libm")
    root = Path(__file__).parents[3]
    paths = [str(tmp_path), str(root), str(root / "bot")]
    program = LIBM_PROGRAM.format(paths=paths, module="plan_of_libm", folder=str(tmp_path))
    plain = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    without = {**plain, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4"}
    states = []
    for environment in (plain, without):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        states.append(done.stdout.strip())
    assert all(states)  # each process found its two executions equal; whether they differ is the processor's


def test_two_engines_live_side_by_side(folder: Path) -> None:
    results = []
    for rate in ("2.0", "5.0"):
        made = module_of(folder, LINKED.replace("ENGINE_RATE = 2.0", f"ENGINE_RATE = {rate}"))
        linked = compile_engine({made.deal: (float, Row, float)}, Cache(folder / "two"))
        entry = compile_entry(loop, (Row, made.Plan), COLUMNS, linked, Cache(folder / "two"))
        state, row, xs = record(made.Plan()), record(Row()), np.arange(5.0)
        entry.call(row.ctypes.data, state.ctypes.data, xs, xs, 0, 5)
        results.append(float(state["total"][0]))
    assert results == [190.0, 250.0]
