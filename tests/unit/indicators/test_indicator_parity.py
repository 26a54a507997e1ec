"""Compiled and interpreted give the same bits: every output after every row, and the state at the end."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bot import indicators as ind
from sigma_bot.kernel.cache import Cache
from sigma_bot.kernel.jit import RAISED, compile_entry
from sigma_bot.kernel.struct import Struct, StructMeta, from_record, record

CLASSES = [cls for name in ind.__all__ if isinstance(cls := getattr(ind, name), StructMeta)]
ROWS = 3000
LOOP = """
def {name}(s, out, {columns}):
    for i in range(len({first})):
        if i == 1000:
            s.setup()
{body}
    return 0
"""


def rough_market() -> dict[str, np.ndarray]:
    """Prices near 60,000 in cents with a jump, a flat stretch, and bars without volume; ``ts`` every hour."""
    rng = np.random.default_rng(7)
    close = np.round(60_000 + np.cumsum(rng.normal(size=ROWS) * 15), 2)
    close[1200:] -= 20_000
    high = close + np.round(rng.exponential(size=ROWS) * 9, 2)
    low = close - np.round(rng.exponential(size=ROWS) * 9, 2)
    for column in (close, high, low):
        column[500:700] = close[500]
    volume = np.round(rng.exponential(size=ROWS) * 3, 4)
    volume[800:850] = 0.0
    ts = np.arange(ROWS) * 3_600_000_000_000
    return {"x": close, "y": high, "high": high, "low": low, "close": close, "volume": volume, "ts": ts}


def parameters(cls: Any) -> list[str]:
    """Parameters of ``update``, which are names of columns (a weight is a volume)."""
    names = list(inspect.signature(cls.update).parameters)[1:]
    return ["volume" if name == "weight" else name for name in names]


def outputs(cls: Any) -> list[str]:
    """Properties and number fields, the whole visible result."""
    properties = [n for n, v in vars(cls).items() if isinstance(v, property)]
    return properties + [n for n, t in cls.__fields__.items() if t in (float, int, bool)]


def loop_of(cls: Any, folder: Path) -> Any:
    """A loop over columns that notes every output, from a file; it sets the indicator up anew on the way."""
    columns, names = parameters(cls), outputs(cls)
    body = [
        f"        k = i * {len(names) + 1}",
        f"        out[k] = s.update({', '.join(f'{c}[i]' for c in columns)})",
    ]
    for j, name in enumerate(names, 1):
        flag = name == "ready" or cls.__fields__.get(name) is bool
        body.append(
            f"        out[k + {j}] = " + (f"1.0 if s.{name} else 0.0" if flag else f"float(s.{name})")
        )
    name = f"run_{cls.__name__.lower()}"
    file = folder / f"{name}.py"
    text = LOOP.format(name=name, columns=", ".join(columns), first=columns[0], body="\n".join(body))
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def state(struct: Struct) -> list[Any]:
    """Every field down to the numbers, as text that tells floats apart to the last bit and -0.0 from 0.0."""
    return [
        (name, state(getattr(struct, name)) if isinstance(t, StructMeta) else repr(getattr(struct, name)))
        for name, t in type(struct).__fields__.items()
    ]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_same_bits(cls: Any, tmp_path: Path, indicator_cache: Cache) -> None:
    market = rough_market()
    loop, columns = loop_of(cls, tmp_path), parameters(cls)
    kinds = ["f8[]!", *("i8[]" if c == "ts" else "f8[]" for c in columns)]
    entry = compile_entry(loop, [cls], kinds, cache=indicator_cache)
    assert entry.uncached == ""
    width = len(outputs(cls)) + 1
    compiled, interpreted = np.zeros(ROWS * width), [0.0] * (ROWS * width)

    row = record(cls())
    assert entry.call(row.ctypes.data, compiled, *(market[c] for c in columns)) == 0
    there = cls()
    from_record(row[0], there)
    here = cls()
    loop(here, interpreted, *(market[c].tolist() for c in columns))

    assert compiled.tobytes() == np.array(interpreted, float).tobytes()
    assert state(there) == state(here)
    assert np.isfinite(compiled).all()


def set_up(s, period):
    s.setup(period)
    return 0


def test_a_wrong_period_raises_compiled(indicator_cache: Cache) -> None:
    """The engine then replays the row interpreted, which gives the full message."""
    entry = compile_entry(set_up, [ind.Bollinger], ["int"], cache=indicator_cache)
    row = record(ind.Bollinger())
    assert entry.call(row.ctypes.data, 300) == RAISED
    assert entry.call(row.ctypes.data, 0) == RAISED
    assert entry.call(row.ctypes.data, 256) == 0
    assert row["deviation"]["period"][0] == 256
