"""Columns as one Parquet file: integers with a divisor wherever that gives back every value bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sigma_bot.data.arrow import array_of
from sigma_bot.data.rules import Columns

ROW_GROUP = 1 << 18
SCALES: tuple[int, ...] = tuple(10**k for k in range(11))


def scale_of(values: np.ndarray) -> int:
    """The smallest power of ten with which every value is ``integer / scale`` to the last bit; 0 when there
    is none.

    The price grid of a venue is such a scale; sums and averages often have none and stay doubles.
    """
    if not np.isfinite(values).all():
        return 0
    sample = values[:: max(len(values) // 1000, 1)]
    for scale in SCALES:
        if _exact(sample, scale) and _exact(values, scale):
            return scale
    return 0


def _exact(values: np.ndarray, scale: int) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * scale)
    return bool(
        (np.abs(whole) < 2**53).all() and (whole / scale == values).all() and not np.signbit(values).any()
    )


def _stored(name: str, values: np.ndarray) -> tuple[Any, Any]:
    """An Arrow field and array: times and ids as they are, the rest scaled where that is exact."""
    if values.dtype.kind == "i":
        kind = pa.timestamp("ns", "UTC") if name == "ts" else pa.int64()
        return pa.field(name, kind), array_of(values.astype(np.int64, copy=False), kind)
    scale = scale_of(values)
    if not scale:
        return pa.field(name, pa.float64()), array_of(values, pa.float64())
    whole = np.rint(values * scale)
    small = len(whole) == 0 or whole.max() < 2**31
    kind, width = (pa.int32(), np.int32) if small else (pa.int64(), np.int64)
    return pa.field(name, kind, metadata={"sigma.scale": str(scale)}), array_of(whole.astype(width), kind)


def write_rows(path: Path, columns: Columns, tag: Mapping[str, str]) -> None:
    """One Parquet file: row groups of 262,144, integers delta-coded. ``tag`` goes into the file's metadata.

    LZ4 rather than zstd: 7 % larger and read nearly twice as fast.
    """
    from pyarrow import parquet

    fields, arrays = zip(*(_stored(name, values) for name, values in columns.items()), strict=True)
    schema = pa.schema(fields, metadata={f"sigma.{k}": v for k, v in tag.items()})
    parquet.write_table(
        pa.table(list(arrays), schema=schema),
        path,
        row_group_size=ROW_GROUP,
        compression="lz4",
        use_dictionary=False,
        column_encoding={
            f.name: "BYTE_STREAM_SPLIT" if pa.types.is_floating(f.type) else "DELTA_BINARY_PACKED"
            for f in fields
        },
    )
