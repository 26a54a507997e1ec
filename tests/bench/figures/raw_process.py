"""The least a process can do with a file: read it, run the raw loop (compiled before), print one number."""

import sys

import numba
import pyarrow.parquet as pq

from tests.bench import raw

table = pq.read_table(sys.argv[1])
columns = {name: table[name].to_numpy() for name in table.column_names}
if "bid" in columns:
    print(numba.njit(cache=True)(raw.ticks)(columns["bid"], columns["ask"], 60, 600, 0.001))
else:
    print(numba.njit(cache=True)(raw.bars)(columns["close"], 16, 64))
