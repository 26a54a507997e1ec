"""The field language: what a struct is, and that a record holds all of it."""

from __future__ import annotations

import pytest

from sigma_bot.kernel.struct import Struct, array, dtype_of, from_record, param, params_of, record, window


class Inner(Struct):
    flag: bool
    x: float = 1.5
    ring: window(float)


class Outer(Struct):
    n: int = param(3, ge=1, le=9)
    inner: Inner
    pair: array(Inner, 2)
    levels: array(int, 3) = (1, 2, 3)


def test_fields_start_at_their_defaults_and_nothing_else_can_be_set():
    o = Outer()
    assert (o.n, o.inner.x, o.levels, o.inner.flag) == (3, 1.5, [1, 2, 3], False)
    assert Outer(n=5).n == 5
    with pytest.raises(AttributeError):
        o.other = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no field"):
        Outer(m=1)


def test_defaults_are_not_shared():
    a, b = Outer(), Outer()
    a.levels[0] = 7
    a.inner.ring[0] = 1.0
    assert b.levels[0] == 1
    assert b.inner.ring[0] == 0.0


def test_record_and_back_keeps_everything():
    o = Outer(n=4)
    o.inner.flag = True
    o.pair[1].ring[5] = -0.0
    o.levels[2] = 2**62 + 1
    copy = Outer()
    from_record(record(o)[0], copy)
    assert record(copy).tobytes() == record(o).tobytes()
    assert copy.levels == [1, 2, 2**62 + 1]
    assert type(copy.inner.x) is float


def test_capacity_resizes_windows_all_the_way_down():
    assert len(Outer[8]().pair[0].ring) == 8
    assert Outer[8] is Outer[8]
    assert dtype_of(Outer[8]).itemsize < dtype_of(Outer).itemsize
    assert issubclass(Inner[8], Inner)
    with pytest.raises(TypeError, match="at least 1"):
        Inner[0]


def test_parameters_keep_their_bounds():
    p = params_of(Outer)["n"]
    assert p.problem(10) == "must be at most 9, got 10"
    assert p.problem(5) is None
    with pytest.raises(TypeError, match="at least 1"):
        param(0, ge=1)


def test_a_field_of_another_type_is_refused_where_it_is_declared():
    with pytest.raises(TypeError, match=r"Bad\.name: a field is float, int, bool"):

        class Bad(Struct):
            name: str


def test_subclasses_inherit_fields_in_order():
    class More(Outer):
        z: float

    assert list(More.__fields__) == ["n", "inner", "pair", "levels", "z"]
    assert not hasattr(More(), "__dict__")


def test_two_bases_with_fields_are_refused_in_words():
    with pytest.raises(TypeError, match="only one base may have fields, not Outer and Inner"):

        class Both(Outer, Inner):
            pass


def test_mixin_of_methods():
    class Twice(Struct):
        def twice(self):
            return 2 * self.n  # type: ignore[attr-defined]

    class Mixed(Outer, Twice):
        pass

    assert Mixed(n=4).twice() == 8
