"""Small files of market data, written for each test."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sigma_bot.data.market import open_request
from sigma_bot.data.request import Request, Wanted


@pytest.fixture
def write(tmp_path):
    """Write a text file (gzipped when its name says so) and give its path."""

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return make


@pytest.fixture
def read(tmp_path):
    """Open a market and read it whole: the market and its columns as lists."""

    def go(path=None, *symbols, **options):
        wanted = tuple(Wanted(s) for s in symbols or ("X",))
        market = open_request(
            Request(wanted, path=str(path) if path is not None else None, base=tmp_path, **options)
        )
        chunks = list(market.chunks())
        return market, {n: [x for c in chunks for x in c[n].tolist()] for n in chunks[0]}

    return go
