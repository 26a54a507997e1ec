"""The HTML reports: offline, escaped, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.errors import BadInputError
from sigma_bot.metrics.sampling import keep_extremes
from sigma_bot.report.html import MOST_LISTED, html_report, monthly_returns
from sigma_bot.report.page import escape, write_page
from sigma_bot.report.reporter import PerformanceReporter
from sigma_bot.report.sweep import Trial, heat_figure, ranking, sweep_html
from sigma_bot.results.result import BacktestResult
from tests.unit.report.result_builder import DAY, build, cross, walk

EVIL = "</script><script>alert('x')</script><img src=http://evil/x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows = 0
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs)
            self.scripts.append("")
        self.rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[-1] += data


def html_of(result: BacktestResult) -> str:
    reporter = PerformanceReporter(result)
    return html_report(result, reporter.metrics, reporter.trades)


def figures_of(reader: Reader) -> dict[str, Any]:
    found = json.loads(reader.scripts[0])
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    ts, prices = walk(6000, 2, seed=5)
    return build(
        ts,
        prices,
        cross(prices, 3, 8, 2000),
        symbols=("BTC", EVIL),
        name=EVIL,
        strategy=EVIL,
        currency="</script><b>",
        warnings=[EVIL],
        assumptions=[(EVIL, EVIL)],
        rejections={EVIL: 3},
        digests={EVIL: EVIL},
        manifest={"spec": {"strategy": {"file": EVIL}}},
    )


@pytest.fixture(scope="module")
def text(result: BacktestResult) -> str:
    return html_of(result)


def test_nothing_hostile_becomes_an_element(text: str) -> None:
    reader = Reader(text)
    assert len(reader.scripts) == 3
    assert not [tag for tag, _ in reader.elements if tag in ("img", "link", "iframe", "object", "embed", "b")]
    assert "alert('x')" not in "".join(reader.scripts[1:])
    assert EVIL not in text


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    for tag, attributes in Reader(text).elements:
        assert not {"src", "href", "srcset", "data", "action"} & set(attributes), (tag, attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_only_the_two_embedded_scripts_may_run(text: str) -> None:
    reader = Reader(text)
    policy = next(a["content"] for tag, a in reader.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for script in reader.scripts[1:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "unsafe-inline" not in policy.split(";")[1]
    assert "showSendToCloud: false" in reader.scripts[2]


def test_charts_hold_few_points_and_every_symbol(text: str, result: BacktestResult) -> None:
    figures = figures_of(Reader(text))
    assert set(figures) == {"equity", "price", "returns", "excursion"}
    for trace in figures["equity"]["data"]:
        assert 3000 < len(trace["x"]) <= 5000
        assert len(trace["x"]) == len(trace["y"])
    equity = next(trace for trace in figures["equity"]["data"] if trace["name"] == "Equity")
    assert max(equity["y"]) == pytest.approx(result.equity["equity"].max(), rel=1e-6)
    assert min(equity["y"]) == pytest.approx(result.equity["equity"].min(), rel=1e-6)
    assert len(figures["price"]["choices"]) == 2
    assert figures["equity"]["layout"]["yaxis"]["title"]["text"] == escape(result.currency)


def test_a_long_list_is_cut_and_says_so(text: str, result: BacktestResult) -> None:
    trades = PerformanceReporter(result).trades
    total = len(trades)
    many = html_report(result, PerformanceReporter(result).metrics, np.tile(trades, 9))
    assert total < MOST_LISTED < total * 9
    assert f"the first 2,000 of {total * 9:,}" in many
    assert "the first 2,000" not in text
    assert Reader(many).rows - Reader(text).rows == MOST_LISTED - total
    assert "the 2,000 trades with the largest profit or loss are marked" in many


def test_a_run_without_trades_or_samples_still_has_a_report() -> None:
    ts, prices = walk(30)
    assert "No order was filled." in html_of(build(ts, prices, np.zeros((30, 1)), rejections={}))
    assert "No order was rejected." in html_of(build(ts, prices, np.zeros((30, 1)), rejections={}))
    empty = build(np.zeros(0, np.int64), np.zeros((0, 1)), np.zeros((0, 1)))
    assert "Metrics" in html_of(empty)


def test_months_compound_to_the_whole() -> None:
    ts, prices = walk(400, step=DAY)
    result = build(ts, prices, cross(prices, 5, 20, 10000))
    months = monthly_returns(result)
    assert next(iter(months)) == (2024, 1)
    assert len(months) == 14
    whole = np.prod([1 + x for x in months.values()])
    assert whole == pytest.approx(result.final["equity"] / 10000)


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    assert write_page(target, "old") == target
    assert target.read_text() == "old"

    def full_disk(self: Path, *_: Any, **__: Any) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(BadInputError, match=r"report.html' cannot be written: No space left on device"):
        write_page(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "old"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"the folder '.*missing' does not exist; create it"):
        write_page(tmp_path / "missing" / "r.html", "x")
    with pytest.raises(BadInputError, match="this is a folder; give the name of a file"):
        write_page(tmp_path, "x")


def test_plotly_is_never_imported() -> None:
    """Its import takes longer than the whole report."""
    code = (
        "import sys; from sigma_bot.report.page import plotly_text; "
        "import sigma_bot.report.reporter, sigma_bot.report.html; assert len(plotly_text()) > 10**6; "
        "bad = {'plotly', 'pandas', 'scipy', 'rich', 'numba'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


@given(st.lists(st.floats(-1e6, 1e6), max_size=300), st.integers(8, 100))
def test_downsampling_keeps_ends_and_extremes(values: list[float], most: int) -> None:
    series = np.array(values)
    kept = keep_extremes(series, most)
    assert len(kept) <= max(most, min(len(series), most))
    assert np.all(np.diff(kept) > 0)
    if values:
        assert (kept[0], kept[-1]) == (0, len(values) - 1)
        assert series[kept].max() == series.max()
        assert series[kept].min() == series.min()


def trials() -> list[Trial]:
    rows = []
    for fast in (5, 10):
        for slow in (20, 40, 60):
            for stop in (1.0, 0.5):
                value = None if slow == 60 else fast * stop - slow / 10
                rows.append(
                    Trial({"fast": fast, "slow": slow, "stop": stop}, {"sharpe": value, "fees": "1.50"})
                )
    return rows


def test_sweep_ranks_and_draws_the_best_of_each_cell(tmp_path: Path) -> None:
    rows = trials()
    assert ranking(rows, "sharpe")[0].params == {"fast": 10, "slow": 20, "stop": 1.0}
    assert ranking(rows, "sharpe")[-1].metrics["sharpe"] is None
    assert ranking(rows, "sharpe", maximise=False)[0].metrics["sharpe"] == -1.5
    heat = heat_figure(rows, "fast", "slow", "sharpe")["data"][0]
    assert heat["z"] == [[3.0, 8.0], [1.0, 6.0], [None, None]]
    path = sweep_html(
        tmp_path / "sweep.html",
        rows,
        "fast",
        "slow",
        "sharpe",
        name=EVIL,
        subtitle=EVIL,
        trials=500,
        deflated=0.3,
    )
    text = path.read_text(encoding="utf-8")
    assert len(Reader(text).scripts) == 3
    assert EVIL not in text
    for part in ("best over stop", "500", "30.00 %", "do not trade it yet", "the best 12 of 12"):
        assert part in text
    line = sweep_html(tmp_path / "line.html", rows, "fast", None, "fees", name="one", maximise=False)
    assert re.search(r"Fees by fast", line.read_text(encoding="utf-8"))


def test_sweep_names_what_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="objective 'sharp' is no metric; did you mean 'sharpe'"):
        sweep_html(tmp_path / "s.html", trials(), "fast", "slow", "sharp", name="x")
    with pytest.raises(BadInputError, match="parameter 'slwo' was not swept; did you mean 'slow'"):
        sweep_html(tmp_path / "s.html", trials(), "fast", "slwo", "sharpe", name="x")
    with pytest.raises(BadInputError, match="without a single finished run"):
        sweep_html(tmp_path / "s.html", [], "fast", "slow", "sharpe", name="x")
    with pytest.raises(BadInputError, match="'returns_period' is no number"):
        sweep_html(tmp_path / "s.html", trials(), "fast", "slow", "returns_period", name="x")
