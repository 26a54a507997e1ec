"""What works, what is rewritten and what is refused, row by row."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.kernel.jit import RAISED, refusals_of
from sigma_bot.kernel.struct import record
from tests.unit.kernel.harness import Pair, Row, entry_of, loop, module_of

WORLD = '''
class Side(enum.IntEnum):
    BUY = 1
    SELL = -1
LEVELS = (1.0, 2.0, 3.0)
LIMIT = 7
def helper(a, b=2.0, *, c=1.0):
    return a * b + c
def pair(x):
    return x, x + 1.0
def total(*values):
    s = 0.0
    for v in values:
        s += v
    return s
square = lambda v: v ** 2
def recursive(n):
    return 1 if n < 2 else n * recursive(n - 1)
class Ema(Struct):
    value: float
    n: int
    def update(self, x):
        self.value = x if self.n == 0 else self.value + (x - self.value) * 0.1
        self.n += 1
        return self.value
    @property
    def ready(self):
        return self.n > 2
class Same(Struct):
    value: float
    n: int
    def update(self, x, twice=False):
        self.value += x * 2.0 if twice else x
        self.n -= 1
        return int(self.value)
class Mean(Struct):
    """A mean over a window whose capacity is chosen where it is used."""
    length: int = 3
    at: int
    n: int
    items: window(float)
    def update(self, x):
        self.items[self.at] = x
        self.at = self.at + 1 if self.at + 1 < self.length else 0
        self.n = min(self.n + 1, self.length)
        s = 0.0
        for k in range(self.n):
            s += self.items[k]
        return s / self.n
class Mixin(Struct):
    def mark(self):
        self.hits += 1
class Base(Struct):
    size: float = 2.0
    CONST = 7
    RATE = 0.5
    COLOR = "red"
    TABLE = (1, 2, 3)
    FIRST = Side.SELL
    def bump(self, t):
        self.size += 1.0
    def scale(self):
        return 3.0
    @property
    def level(self):
        return self.size + 1.0
class Middle(Base):
    def scale(self):
        return super().scale() + 1.0
class Case(Middle, Mixin):
    a: Ema
    b: Same
    emas: array(Ema, 3)
    mean: Mean[4]
    wide: Mean[300]
    w: array(float, 4)
    ints: array(int, 3)
    flag: bool
    hits: int
    x: float
    y: float
    k: int
    def scale(self):
        return super().scale() * 2.0
    def bump(self, t):
        super().bump(t)
        self.x += self.size
    @property
    def double(self):
        return self.level * 2.0
    @property
    def level(self):
        return super().level * 10.0
    @property
    def first_ready(self):
        return self.emas[0].ready
    def named(self, x, *, low=0.0, high=1.0):
        return low + (high - low) * x
    def unused(self):
        return sorted({str(v): v for v in open("x")})
'''

WORKS = {
    "a method of a sub-record": "self.x = self.a.update(t.x)",
    "one name, another signature": "self.k = self.b.update(t.x, twice=True) + self.b.update(2.0)",
    "a property": "self.x = self.double + self.level",
    "a property of a property": "self.flag = self.first_ready",
    "class constants": "self.k = self.CONST + Case.CONST + Base.CONST; self.x = self.RATE",
    "a class constant tuple": "self.k = self.TABLE[t.i % 3]",
    "a class constant text": "self.k = 1 if self.COLOR == 'red' else 2",
    "an enum": "self.k = Side.BUY + (5 if Side.SELL == -1 else 6); self.x = t.x * Side.SELL + Side.BUY.value",
    "an enum as class constant": "self.k = 3 if self.FIRST == Side.SELL else 4",
    "a module's constant": "self.x = math.pi + LIMIT; self.flag = math.inf > self.x",
    "a module's tuple": "for v in LEVELS: self.x += v",
    "keyword-only parameters": "self.x = helper(2.0, c=4.0) + self.named(0.5, high=3.0)",
    "tuples out of a helper": "self.x, self.y = pair(1.5)",
    "star arguments": "self.x = total(1.0, 2.0, t.x)",
    "a lambda of the module": "self.x = square(1.1)",
    "super()": "self.bump(t); self.y = self.scale()",
    "Base.method(self)": "Base.bump(self, t); self.y = Middle.scale(self)",
    "a mixin": "self.mark()",
    "an array of indicators": "for e in self.emas: self.x += e.update(t.x)",
    "indices of indicators": "for k, e in enumerate(self.emas): self.x += k * e.update(2.0)",
    "an alias of a sub-record": "e = self.emas[1]; e.update(5.0); self.x = e.value",
    "capacities": "self.x = self.mean.update(t.x) + self.wide.update(t.y)",
    "lengths": "self.k = len(self.w) + len(self.emas)",
    "sum, max, min of an array": "self.x = sum(self.w) + max(self.w) - min(self.w)",
    "a negative index": "self.w[-1] = 4.0; self.x = self.w[-1] + self.w[3]",
    "a local list": "q = [1.0, 2.0]; q.append(t.x); self.x = q[2] + len(q) + sum(q)",
    "a local dict": "d = {1: 2.0}; d[3] = t.x; self.x = d[1] + d[3]",
    "a local tuple": "p = (1.0, 2); self.x = p[0]; self.k = p[1]",
    "a list comprehension": "self.x = sum([v * 2.0 for v in self.w if v < 3.0])",
    "a nested function": "def g(v): return v + 1.0\nself.x = g(2.0)",
    "a lambda": "g = lambda v: v * t.x\nself.x = g(2.0)",
    "None": "z = None\nif t.x > 0.0: z = 3.0\nself.x = 1.0 if z is None else z",
    "match": "match t.i % 3:\n    case 0: self.x = 1.0\n    case 1: self.x = 2.0\n    case _: self.x = 3.0",
    "while, break, else": "k = 0\nwhile k < 5:\n    k += 1\n    if k > t.i: break\nelse: self.k += 1",
    "isinstance": "self.k = 1 if isinstance(t.x, float) else 0",
    "a chained comparison": "self.flag = 0 <= t.i < 3 and (t.x or self.size) > 1.0",
    "a literal integer into a float field": "self.x = 3",
    "an annotated local": "z: float = t.x\nself.x = z",
    "a comparison into a bool field": "self.flag = t.x > 1.0",
    "powers": "self.x = t.x ** 2 + abs(t.x) ** 0.5; self.x **= 2; self.k = 3 ** 4; self.y = 10 ** -2",
    "a logarithm to a base": "self.x = math.log(abs(t.x) + 1.0, 10.0)",
    "float of a word": "self.x = float('inf'); self.y = float('-inf')",
    "division of times": "self.x = (1_700_000_000_123_456_789 + t.i) / 1_000_000_000",
    "assert": "assert self.size > 0.0, f'size is {self.size}'",
    "a private field": "self.__hidden += 1.0; self.x = self.__hidden",
    "logging": "log.info('x %s', t.x); log.warning(f'{t.x:.2f} {self.k}'); logging.debug('hm')",
    "print": "print(t.x, f'{self.x}', 'value {}'.format(self.k), self)",
    "log calls keep what they call": "log.info('%s', self.a.update(t.x)); print(f'{self.b.update(1.0)}')",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("subset")


def indented(body: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in body.splitlines())


@pytest.fixture(scope="module")
def works(folder: Path) -> Pair:
    """All rows that work as methods of one class: compiled once."""
    methods = [f"    def row_{k}(self, t):\n{indented(body, 8)}\n" for k, body in enumerate(WORKS.values())]
    calls = [f"        {'el' if k else ''}if self.row == {k}: self.row_{k}(t)\n" for k in range(len(WORKS))]
    text = (
        WORLD
        + "class All(Case):\n    row: int\n    __hidden: float\n"
        + "".join(methods)
        + "    def step(self, t):\n"
        + "".join(calls)
    )
    return Pair(module_of(folder, text).All, folder)


@pytest.mark.parametrize("row", range(len(WORKS)), ids=list(WORKS))
def test_works(works: Pair, row: int) -> None:
    works.fields = {"row": row}
    rng = random.Random(row)
    xs = np.array([rng.uniform(-3, 9) for _ in range(12)])
    works.check(xs, xs[::-1].copy())
    assert works.compiled(xs, xs)[0] is not None


RAISES = {
    "division by zero": "self.x = 1.0 / (t.x - t.x)",
    "an index out of range": "self.w[t.i + 4] = 1.0",
    "a negative index out of range": "self.w[-5 - t.i] = 1.0",
    "an integer beyond 64 bits": "self.k = (t.i + 4_000_000_000) * 4_000_000_000",
    "a complex number": "self.x = (-1.0 - abs(t.x)) ** 0.5",
    "raise": "raise ValueError(f'bad {t.x}')",
    "an error inside a log call": "log.info(f'{1.0 / (t.x - t.x)}')",
    "assert": "assert self.size < 0.0, 'size'",
    "int of nan": "self.k = int((t.x * 1e308) * 10.0 * 0.0)",
    "a nested error": "self.x = self.a.update(1.0) + self.fail(t)",
}


def test_errors_are_reported(folder: Path) -> None:
    methods = [f"    def row_{k}(self, t):\n{indented(body, 8)}\n" for k, body in enumerate(RAISES.values())]
    calls = [f"        {'el' if k else ''}if self.row == {k}: self.row_{k}(t)\n" for k in range(len(RAISES))]
    fail = "    def fail(self, t):\n        return math.log(-abs(t.x))\n"
    text = WORLD + "class All(Case):\n    row: int\n" + fail + "".join(methods) + "    def step(self, t):\n"
    cls = module_of(folder, text + "".join(calls)).All
    call = entry_of(cls, folder)
    ones = np.ones(2)
    for k, name in enumerate(RAISES):
        state, row = record(cls(row=k)), record(Row())
        before = state.copy()
        assert call(row.ctypes.data, state.ctypes.data, ones, ones, 0, 1) == RAISED, name
        assert (state["w"] == before["w"]).all(), name
    state = record(cls(row=-1))
    assert call(row.ctypes.data, state.ctypes.data, ones, ones, 0, 2) == 2


# name → (body, what the reason says); found in the syntax tree, before anything is compiled
REFUSED = {
    "round to digits": ("self.x = round(t.x, 2)", "round(x, digits)"),
    "hypot": ("self.x = math.hypot(t.x, 1.0)", "math.hypot"),
    "gamma": ("self.x = math.gamma(t.x)", "math.gamma"),
    "fsum": ("self.x = math.fsum(self.w)", "math.fsum"),
    "numpy sum": ("self.x = np.sum(self.w)", "np.sum() is outside"),
    "numpy sqrt": ("self.x = np.sqrt(t.x)", "np.sqrt() is outside"),
    "undeclared field": ("self.missing = t.x", "self.missing is not a declared field"),
    "undeclared field in a tuple": (
        "self.x, self.missing = 1.0, 2.0",
        "self.missing is not a declared field",
    ),
    "undeclared field by addition": ("self.missing += 1.0", "self.missing is not a declared field"),
    "except SomeError": ("try: self.x = 1.0 / t.x\nexcept ZeroDivisionError: self.x = 0.0", "cannot catch"),
    "generator expression": ("self.x = sum(v for v in self.w)", "generator"),
    "recursion": ("self.k = recursive(3)", "recursive calls itself"),
    "recursion of methods": ("self.again(t)", "calls itself"),
    "walrus": ("if (z := t.x) > 1.0: self.x = z", "walrus"),
    "property setter": ("self.double = 1.0", "property setters"),
    "random": ("self.x = random.random()", "random.random() is outside"),
    "time": ("self.x = time.time()", "time.time() is outside"),
    "datetime.now": ("self.k = datetime.now().hour", "datetime.now() is outside"),
    "global": ("global LIMIT\nLIMIT = 3", "cannot rebind a global"),
    "with": ("with open('x') as f: pass", "with statements"),
    "import": ("import os\nself.k = 1", "imports inside"),
    "text of a float": ("z = f'{t.x}'\nself.k = len(z)", "text made from numbers"),
    "str": ("self.k = len(str(t.x))", "str differs"),
    "a set": ("for v in {1, 2}: self.k += v", "sets have no fixed order"),
    "sorted": ("self.x = sorted(self.w)[0]", "sorted differs"),
    "a slice assigned": ("self.w[1:3] = [1.0, 2.0]", "assigning to a slice"),
    "is": ("self.flag = t.i is 3", "identity"),
    "a large integer": ("self.k = t.i & 0xFFFFFFFFFFFFFFFF", "beyond 64 bits"),
    "constants beyond 64 bits": ("self.k = 4_000_000_000 * 4_000_000_000", "constants that make an integer"),
    "a list of the module": ("self.x = TABLE[0]", "TABLE is a list"),
    "a dict of the class": ("self.x = self.DICT['a']", "self.DICT is a dict"),
    "a struct made": ("e = Ema()\nself.x = e.value", "cannot create a Ema"),
    "a static method": ("self.x = self.fixed(t.x)", "staticmethod"),
    "print used as a value": ("self.flag = print(t.x) is None", "print inside"),
    "a keyword-only parameter by position": ("self.x = helper(1.0, 2.0, 3.0)", "takes 2 positional"),
    "raise of an instance": ("e = ValueError('x')\nraise e", "only `raise SomeError"),
    "sort of a list": ("q = [t.x, t.y]\nq.sort()\nself.x = q[0]", "sort differs"),
    "an attribute of a class": ("Case.CONST = 3", "cannot set an attribute of Case"),
    "an attribute of a module": ("math.pi += 3.0", "cannot set an attribute of math"),
    "del": ("z = t.x\ndel z", "del does not"),
    "a complex constant": ("self.x = abs(1j)", "complex values"),
}
EXTRA = """
    DICT = {"a": 1.0}
    @staticmethod
    def fixed(x):
        return x
    def again(self, t):
        self.other(t)
    def other(self, t):
        self.again(t)
"""


@pytest.fixture(scope="module")
def refusing(folder: Path) -> object:
    methods = [
        f"class C{k}(More):\n    def step(self, t):\n{indented(body, 8)}\n"
        for k, (body, _) in enumerate(REFUSED.values())
    ]
    return module_of(folder, WORLD + "TABLE = [1.0]\nclass More(Case):" + EXTRA + "".join(methods))


@pytest.mark.parametrize("row", range(len(REFUSED)), ids=list(REFUSED))
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_refused_by_syntax(refusing: object, row: int) -> None:
    name = list(REFUSED)[row]
    cls = getattr(refusing, f"C{row}")
    found = refusals_of(loop, (Row, cls))
    assert any(REFUSED[name][1] in f.reason for f in found), found
    first = next(f for f in found if REFUSED[name][1] in f.reason)
    assert first.file == refusing.__file__  # type: ignore[attr-defined]
    assert first.source
    assert first.source in Path(first.file).read_text()


# found only once types are known
REFUSED_BY_TYPE = {
    "float into an int field": ("self.k = t.x", "a float is stored in k, declared int"),
    "float into an int item": ("self.ints[0] = t.x", "a float is stored in the item, declared int"),
    "int variable into a float field": ("self.x = t.i", "an int is stored in x, declared float"),
    "number into a bool field": ("self.flag = t.i", "a number is stored in flag, declared bool"),
    "a whole struct": ("self.emas[1] = self.emas[0]", "a whole struct"),
    "a whole struct field": ("self.a = self.emas[0]", "a whole struct"),
    "an array field": ("self.w = [1.0, 2.0, 3.0, 4.0]", "keeps its length"),
    "a slice of a field": ("q = self.w[1:3]\nself.x = q[0]", "a slice of an array field"),
    "an operator on a field": ("q = self.w * 2\nself.x = q[0]", "an operator on an array field"),
    "max of int and float variables": ("self.x = max(t.i, t.x)", "min and max of an int and a float"),
    "an integer to a variable power": ("self.x = t.i ** t.j", "power of an integer variable"),
    "unknown attribute": ("self.x = t.price", "Row has no field or method price"),
    "unknown name": ("self.x = undefined_thing", "undefined_thing is not defined"),
    "a variable that may have no value": (
        "if t.x > 0.0: z = t.x\nself.x = z",
        "z may be used before it has a value",
    ),
    "a loop variable after the loop": (
        "for k in range(t.i): pass\nself.k = k",
        "k may be used before it has a value",
    ),
    "an unknown parameter": ("self.x = helper(1.0, price=2.0)", "there is no parameter price"),
    "a missing argument": ("self.x = self.a.update()", "the argument x is missing"),
    "an index that is a float": ("self.x = self.w[t.x]", "getitem does not compile for"),
    "truth of an array": ("if self.w: self.k += 1", "an array field is always true"),
    "unpacking with a star": ("a, *r = (1.0, 2.0, 3.0)\nself.x = a + r[0]", "UNPACK_EX"),
    "an empty list": ("q = []\nself.k = len(q)", "q is empty and of no known kind"),
    "a text and a number": ("z = 'a' if t.x > 0.0 else 1.0\nself.k = 1", "would hold both"),
    "keyword-only method parameter by position": ("self.x = self.named(0.5, 2.0)", "takes 1 positional"),
}


@pytest.mark.parametrize("name", REFUSED_BY_TYPE)
def test_refused_by_type(folder: Path, name: str) -> None:
    body, reason = REFUSED_BY_TYPE[name]
    text = WORLD + "class More(Case):\n    def step(self, t):\n" + indented(body, 8) + "\n"
    cls = module_of(folder, text).More
    with pytest.raises(CannotCompileError) as caught:
        entry_of(cls, folder)
    (refusal,) = caught.value.refusals
    assert reason in refusal.reason
    assert len(refusal.reason) < 170
    assert refusal.file == cls.step.__code__.co_filename
    assert refusal.source in [line.strip() for line in body.splitlines()]


def test_what_is_never_reached_is_never_refused(works: Pair) -> None:
    assert refusals_of(loop, (Row, works.cls)) == []
    assert "unused" in dir(works.cls)


def test_equal_layouts_keep_their_identity(folder: Path) -> None:
    text = """
    class One(Struct):
        value: float
        def get(self): return self.value + 1.0
    class Two(Struct):
        value: float
        def get(self): return self.value * 100.0
    class Longer(Struct):
        value: float
        more: float
        def get(self): return self.value - self.more
    class S(Struct):
        one: One = {"value": 5.0}
        two: Two = {"value": 5.0}
        longer: Longer = {"value": 5.0, "more": 2.0}
        x: float
        def step(self, t):
            self.x = self.one.get() + self.two.get() + self.longer.get()
    """
    pair = Pair(module_of(folder, text).S, folder)
    zeros = np.zeros(1)
    pair.check(zeros, zeros)


def test_arguments_of_another_kind_are_an_error(works: Pair) -> None:
    state, row = record(works.cls(row=-1)), record(Row())
    places = row.ctypes.data, state.ctypes.data
    good = np.ones(4)
    assert works.call(*places, good, good, 0, 4) == 4
    for bad in (good.astype("f4"), np.ones(8)[::2], np.ones((2, 2)), good.astype("i8")):
        with pytest.raises(TypeError, match="contiguous column of f8"):
            works.call(*places, good, bad, 0, 1)
    with pytest.raises(TypeError, match="takes 6 arguments"):
        works.call(*places, good, good, 0)
    good.flags.writeable = False  # a column of a file is read-only
    assert works.call(*places, good, good, 0, 4) == 4
