"""Generated strategies: state after many rows is the same, compiled and interpreted, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.kernel.harness import Pair, module_of

FIELDS = """
class Track(Struct):
    alpha: float = 0.1
    value: float
    n: int
    def update(self, x):
        if self.n == 0:
            self.value = x
        else:
            self.value += (x - self.value) * self.alpha
        self.n += 1
        return self.value
    @property
    def ready(self):
        return self.n > 3
class Made(Struct):
    a: float
    b: float
    c: float
    p: int
    q: int
    r: int
    flag: bool
    fast: Track
    slow: Track = {"alpha": 0.01}
    tracks: array(Track, 3)
    w: array(float, 5)
    v: array(int, 4)
    def step(self, t):
"""

float_leaf = st.sampled_from(
    ["t.x", "t.y", "self.a", "self.b", "self.c", "self.fast.value", "self.w[1]", "self.w[t.i % 5]", "math.pi"]
) | st.floats(-1e3, 1e3).map(repr)
int_leaf = st.sampled_from(
    ["t.i", "t.j", "self.p", "self.q", "self.v[2]", "self.v[self.r % 4]", "len(self.w)"]
) | (st.integers(-50, 50).map(repr))


def _floats(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(" ".join)
    called = st.tuples(
        st.sampled_from(["abs", "math.atan", "math.tanh", "math.sin", "math.sqrt", "math.log1p", "math.exp"]),
        inner,
    ).map(lambda p: f"{p[0]}({p[1]})")
    pairs = st.tuples(st.sampled_from(["min", "max", "math.copysign"]), inner, inner)
    calls = pairs.map(lambda p: f"{p[0]}({p[1]}, {p[2]})")
    chosen = st.tuples(inner, conditions, inner).map(lambda p: f"{p[0]} if {p[1]} else {p[2]}")
    powers = st.tuples(inner, st.sampled_from(["2", "3", "-1", "0.5"])).map(
        lambda p: f"abs({p[0]}) ** {p[1]}"
    )
    updates = inner.map(lambda x: f"self.slow.update({x})")
    return (binary | called | calls | chosen | powers | updates).map(lambda x: f"({x})")


def _ints(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^", ">>"]), inner).map(
        " ".join
    )
    bounded = inner.map(lambda x: f"({x}) % 97")
    cast = st.tuples(st.sampled_from(["int", "round", "math.floor"]), float_leaf).map(
        lambda p: f"{p[0]}(min(max({p[1]}, -1e3), 1e3))"
    )
    return (binary | bounded | cast).map(lambda x: f"({x})")


comparisons = st.tuples(
    float_leaf | int_leaf, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), float_leaf | int_leaf
)
conditions = comparisons.map(" ".join) | st.sampled_from(
    ["self.flag", "not self.flag", "self.fast.ready", "t.i % 2 == 0"]
)
floats = st.recursive(float_leaf, _floats, max_leaves=6)
ints = st.recursive(int_leaf, _ints, max_leaves=5)

simple = st.one_of(
    st.tuples(st.sampled_from(["self.a", "self.b", "self.c", "self.w[t.i % 5]", "self.w[-2]"]), floats).map(
        " = ".join
    ),
    st.tuples(
        st.sampled_from(["self.a", "self.b", "self.w[0]"]), st.sampled_from([" += ", " -= ", " *= "]), floats
    ).map("".join),
    st.tuples(
        st.sampled_from(["self.p", "self.q", "self.v[t.i % 4]"]), ints.map(lambda x: f"({x}) % 1009")
    ).map(" = ".join),
    st.tuples(st.sampled_from(["self.p", "self.r"]), ints).map(
        lambda p: f"{p[0]} = ({p[0]} + ({p[1]}) % 13) % 1009"
    ),
    conditions.map(lambda c: f"self.flag = {c}"),
    floats.map(lambda x: f"self.fast.update({x})"),
    st.tuples(st.integers(0, 2), floats).map(lambda p: f"self.tracks[{p[0]}].update({p[1]})"),
)


def _blocks(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    def indent(lines: list[str]) -> list[str]:
        return ["    " + line for line in lines]

    def loop(k: int, body: list[str]) -> list[str]:
        return [f"for k in range({k}):", *indent(body), "    self.w[k % 5] += self.w[(k + 1) % 5] * 0.5"]

    branch = st.tuples(conditions, inner, inner).map(
        lambda p: [f"if {p[0]}:", *indent(p[1]), "else:", *indent(p[2])]
    )
    loops = st.tuples(st.integers(1, 6), inner).map(lambda p: loop(*p))
    over = inner.map(lambda body: ["for e in self.tracks:", *indent(body), "    self.c += e.update(t.y)"])
    return (
        branch
        | loops
        | over
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: [line for part in parts for line in part])
    )


bodies = st.lists(st.recursive(simple.map(lambda s: [s]), _blocks, max_leaves=8), min_size=2, max_size=5)

RNG = np.random.default_rng(5)
ORDINARY = RNG.normal(0, 3, 40)
WILD = np.array([0.0, -0.0, 1e-300, 1e300, -1e300, np.inf, 5.0, -np.inf, np.nan, 2.0**53, 0.1, -7.5])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # every example is a compilation: shrinking would take minutes
)
@given(bodies)
def test_generated_strategies_agree(folder: Path, parts: list[list[str]]) -> None:
    lines = ["        " + line for part in parts for line in part]
    pair = Pair(module_of(folder, FIELDS + "\n".join(lines) + "\n").Made, folder)
    pair.check(ORDINARY, ORDINARY[::-1].copy())
    pair.check(np.abs(ORDINARY) + 0.5, np.abs(ORDINARY[::-1]) + 0.25)
    for k in range(len(WILD)):
        pair.check(np.roll(WILD, k)[:3].copy(), np.roll(WILD, 2 * k + 1)[:3].copy())
