"""The HTML report of one backtest: everything a trader asks about a run, in one file that opens offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.engine.types import Reason
from sigma_bot.metrics.definitions import DEFINITIONS, GROUPS, Metric
from sigma_bot.metrics.metrics import Basis, returns_for
from sigma_bot.metrics.returns import Returns
from sigma_bot.metrics.tradestats import trade_returns
from sigma_bot.report.figures import (
    MOST_MARKED,
    equity_figure,
    excursion_figure,
    price_figure,
    returns_figure,
)
from sigma_bot.report.format import NOTHING, clocks, digits_of, duration, period, short, show
from sigma_bot.report.page import Figure, chart, escape, page, section, table, tile, write_page
from sigma_bot.report.summary import describe_market, describe_strategy, quantities
from sigma_bot.results.result import REJECTED, BacktestResult
from sigma_bot.times import DAY, iso

MOST_LISTED = 2000
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADE_HEADS = (
    "#",
    "Symbol",
    "Side",
    "Entry",
    "Exit",
    "Held",
    "Quantity",
    "Entry price",
    "Exit price",
    "Profit",
    "Return",
    "Fees",
    "MAE",
    "MFE",
)


def write_html(
    path: str | Path, result: BacktestResult, metrics: Mapping[str, Metric], trades: NDArray[np.void]
) -> Path:
    """Write the report whole or not at all; raises ``BadInputError`` when the place cannot be written."""
    return write_page(path, html_report(result, metrics, trades))


def html_report(result: BacktestResult, metrics: Mapping[str, Metric], trades: NDArray[np.void]) -> str:
    """The whole document as text."""
    basis = Basis.of(result.manifest)
    returns = returns_for(result, basis)
    figures: dict[str, Figure] = {
        "equity": equity_figure(result),
        "price": price_figure(result, trades),
        "returns": returns_figure(returns),
        "excursion": excursion_figure(result, trades),
    }
    parts = [
        _tiles(result, metrics),
        _warnings(result),
        _equity_section(result),
        _price_section(result, trades),
        _months(result, basis.day_offset),
        _metric_section(result, metrics),
        _distributions(returns),
        _trade_section(result, trades),
        _order_section(result),
        _assumptions(result),
        _origin(result),
        _meanings(),
    ]
    foot = f"<footer>SIGMA-X · {escape(result.engine)} · digest {escape(result.digest[:16])}… · times are UTC"
    body = f"<main>{''.join(parts)}</main>{foot}</footer>"
    return page(f"{result.name} · SIGMA-X", body, figures, _heading(result))


def _heading(result: BacktestResult) -> str:
    span = duration((result.end - result.start) / 1e9)
    lines = (
        f"{describe_strategy(result)} on {describe_market(result)}",
        f"{period(result.start, result.end)} UTC ({span}), {result.events:,} events",
    )
    text = "".join(f'<p class="sub">{escape(line)}</p>' for line in lines)
    return f'<header class="top"><h1>{escape(result.name)}</h1>{text}</header>'


def _tiles(result: BacktestResult, metrics: Mapping[str, Metric]) -> str:
    places = digits_of(result.money(result.initial_cash), result.precision)

    def text(name: str) -> str:
        return show(metrics[name], DEFINITIONS[name].kind, digits=places)

    def tone(name: str) -> str:
        value = metrics[name]
        return (
            "" if value is None or isinstance(value, str) or value == 0 else "gain" if value > 0 else "loss"
        )

    tiles = [
        tile("Total return", text("total_return"), f"hold {text('benchmark_return')}", tone("total_return")),
        tile("Net profit", text("net_profit"), f"{result.currency}, fees {text('fees')}", tone("net_profit")),
        tile("CAGR", text("cagr"), f"volatility {text('volatility')}", tone("cagr")),
        tile("Sharpe", text("sharpe"), f"probabilistic {text('probabilistic_sharpe')}"),
        tile("Max drawdown", text("max_drawdown"), f"longest {text('max_drawdown_duration')}"),
        tile("Profit factor", text("profit_factor"), f"{text('trades')} trades, {text('win_rate')} won"),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _warnings(result: BacktestResult) -> str:
    notes = list(result.warnings)
    if result.engine_reason:
        notes.append(f"Interpreted, not compiled: {result.engine_reason}")
    ambiguous = result.counts.get("ambiguous_bars", 0)
    if ambiguous:
        notes.append(
            f"{ambiguous:,} ambiguous bars: more than one order could have filled inside the bar, "
            "and the adverse extreme was taken first. Finer data would decide them."
        )
    liquidations = result.counts.get("liquidations", 0)
    if liquidations:
        notes.append(f"{liquidations:,} liquidations: the maintenance margin was not met.")
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="warnings"><h2>Read this first</h2><ul>{items}</ul></section>'


def _equity_section(result: BacktestResult) -> str:
    button = '<button type="button" class="plain" data-log="equity" aria-pressed="false">Log scale</button>'
    return section("Equity and drawdown", chart("equity", "tall"), f"{len(result.equity):,} samples", button)


def _price_section(result: BacktestResult, trades: NDArray[np.void]) -> str:
    note = ""
    if max((int(np.sum(trades["symbol"] == i)) for i in range(len(result.markets))), default=0) > MOST_MARKED:
        note = f"the {MOST_MARKED:,} trades with the largest profit or loss are marked"
    options = "".join(f"<option>{escape(market.symbol)}</option>" for market in result.markets)
    if len(result.markets) == 1:
        return section(f"Price and trades of {result.markets[0].symbol}", chart("price"), note)
    select = f'<select data-chart="price" aria-label="Symbol">{options}</select>'
    return section("Price and trades", chart("price"), note, select)


def _months(result: BacktestResult, day_offset: int) -> str:
    """Monthly returns as a table, colours saturating at the largest; only for runs that a month fits into."""
    months = monthly_returns(result, day_offset)
    if result.end - result.start < 28 * DAY or not months:
        return ""
    strongest = max((abs(x) for x in months.values()), default=0.0) or 1.0
    rows = []
    for year in range(min(months)[0], max(months)[0] + 1):
        own = {month: months[year, month] for month in range(1, 13) if (year, month) in months}
        whole = float(np.prod([1 + x for x in own.values()])) - 1
        cells = "".join(_month_cell(own.get(month), strongest) for month in range(1, 13))
        tone = "gain" if whole > 0 else "loss" if whole < 0 else ""
        last = f'<td class="year {tone}">{show(whole, "percent")}</td>'
        rows.append(f'<tr><td class="l">{year}</td>{cells}{last}</tr>')
    grid = table(("Year", *MONTHS, "Year's return"), rows, left=(0,))
    return section("Monthly returns", f'<div class="months">{grid}</div>')


def monthly_returns(result: BacktestResult, day_offset: int = 0) -> dict[tuple[int, int], float]:
    """Return by (year, month), from the last sample of a month to the last of the next; ends with a total
    loss.
    """
    ts, equity = result.equity["ts"], result.equity["equity"]
    if len(ts) == 0:
        return {}
    months = (ts + day_offset - 1).astype("M8[ns]").astype("M8[M]").astype(np.int64)
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    found: dict[tuple[int, int], float] = {}
    before = float(result.money(result.initial_cash))
    for month, value in zip(months[last].tolist(), equity[last].tolist(), strict=True):
        if before <= 0:
            break
        found[1970 + month // 12, month % 12 + 1] = value / before - 1
        before = value
    return found


def _month_cell(value: float | None, strongest: float) -> str:
    if value is None:
        return "<td></td>"
    weight = round(8 + 47 * min(abs(value) / strongest, 1.0)) if value else 0
    side = "up" if value > 0 else "down"
    return f'<td class="heat {side}" style="--w:{weight}%">{show(value, "percent").removesuffix(" %")}</td>'


def _metric_section(result: BacktestResult, metrics: Mapping[str, Metric]) -> str:
    places = digits_of(result.money(result.initial_cash), result.precision)
    groups = []
    for group in GROUPS:
        known = [x for x in DEFINITIONS.values() if x.group == group]
        lines = "".join(
            f'<div><dt title="{escape(x.meaning)}">{escape(x.label)}</dt>'
            f"<dd>{escape(show(metrics[x.name], x.kind, digits=places))}</dd></div>"
            for x in known
        )
        groups.append(f"<div><h3>{escape(group)}</h3><dl>{lines}</dl></div>")
    basis = f"{metrics['returns_count']:,} returns of {metrics['returns_period']}"
    note = f"money in {result.currency}; ratios from {basis}"
    return section("Metrics", f'<div class="groups">{"".join(groups)}</div>', note)


def _distributions(returns: Returns) -> str:
    still = int(np.sum(returns.strategy == 0))
    note = f"of {returns.period}" + (f", without {still:,} that were zero" if still else "")
    left = section("Returns", chart("returns", "low"), note)
    right = section("Profit and adverse excursion", chart("excursion", "low"), "closed trades")
    return f'<div class="pair">{left}{right}</div>'


def _trade_section(result: BacktestResult, trades: NDArray[np.void]) -> str:
    if len(trades) == 0:
        return section("Trades", '<p class="muted">No order was filled.</p>')
    listed = trades[:MOST_LISTED]
    note = f"{len(trades):,}" + (", of open ones what is realised so far" if np.any(trades["open"]) else "")
    if len(listed) < len(trades):
        note = f"the first {len(listed):,} of {len(trades):,}; sigma backtest --output full has them all"
    rows = _trade_rows(result, listed)
    return section("Trades", table(TRADE_HEADS, rows, (1, 2, 3, 4), sortable=True), note)


def _trade_rows(result: BacktestResult, trades: NDArray[np.void]) -> Iterable[str]:
    places = digits_of(result.money(result.initial_cash), result.precision)
    names = [escape(market.symbol) for market in result.markets]
    scale = 10.0**-result.precision
    columns = (
        [names[i] for i in trades["symbol"].tolist()],
        trades["side"].tolist(),
        clocks(trades["entry"]),
        clocks(trades["exit"]),
        trades["open"].tolist(),
        ((trades["exit"] - trades["entry"]) / 1e9).tolist(),
        quantities(result, trades, "lots"),
        trades["entry_price"].tolist(),
        trades["exit_price"].tolist(),
        (trades["pnl"] * scale).tolist(),
        trade_returns(result, trades).tolist(),
        (trades["fees"] * scale).tolist(),
        trades["mae"].tolist(),
        trades["mfe"].tolist(),
    )
    for number, row in enumerate(zip(*columns, strict=True), start=1):
        symbol, side, entry, out, still, held, size, bought, sold, profit, share, fees, mae, mfe = row
        tone = "gain" if profit > 0 else "loss" if profit < 0 else ""
        yield (
            f'<tr><td>{number}<td class="l">{symbol}<td class="l">{"long" if side > 0 else "short"}'
            f'<td class="l">{entry}<td class="l">{"open" if still else out}'
            f'<td data-v="{NOTHING if still else held}">{NOTHING if still else duration(held)}'
            f"<td>{size}<td>{short(bought)}<td>{short(sold)}"
            f'<td class="{tone}">{show(profit, "money", digits=places)}'
            f'<td class="{tone}">{show(share, "percent")}'
            f"<td>{fees:,.{places}f}"
            f"<td>{NOTHING if still else f'{mae:,.{places}f}'}"
            f"<td>{NOTHING if still else f'{mfe:,.{places}f}'}"
        )


def _order_section(result: BacktestResult) -> str:
    """What became of the orders, and why some were refused, with the first time of each reason."""
    counts = "".join(
        f"<div><dt>{escape(name.replace('_', ' ').capitalize())}</dt><dd>{count:,}</dd></div>"
        for name, count in result.counts.items()
    )
    left = section("Orders", f"<dl>{counts}</dl>")
    if not result.rejections:
        return f'<div class="pair">{left}{section("Rejections", "<p>No order was rejected.</p>")}</div>'
    firsts = _first_rejections(result)
    rows = [
        f'<tr><td class="wrap">{escape(reason)}<td>{count:,}<td>{firsts.get(reason, NOTHING)}</tr>'
        for reason, count in sorted(result.rejections.items(), key=lambda item: -item[1])
    ]
    right = section("Rejections", table(("Reason", "Orders", "First at"), rows, left=(0,)))
    return f'<div class="pair">{left}{right}</div>'


def _first_rejections(result: BacktestResult) -> dict[str, str]:
    refused = result.orders[result.orders["status"] == REJECTED]
    reasons, first = np.unique(refused["reason"], return_index=True)
    times = refused["ts"][first].tolist()
    return {
        Reason(reason).text: iso(time)[:-1].replace("T", " ")
        for reason, time in zip(reasons.tolist(), times, strict=True)
    }


def _assumptions(result: BacktestResult) -> str:
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in result.assumptions
    )
    return section("Assumptions", f'<dl class="prose">{rows}</dl>', "what the simulation takes for granted")


def _origin(result: BacktestResult) -> str:
    """What the result follows from: digests, the manifest as it was read, and what the run took."""
    hashes = {"result": result.digest} | {name: value for name, value in result.digests.items() if value}
    lines = "".join(
        f"<div><dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd></div>"
        for name, value in hashes.items()
    )
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in result.seconds.items())
    text = f"<dl class=prose>{lines}<div><dt>time taken</dt><dd>{escape(seconds)}</dd></div></dl>"
    manifest = f"<details><summary>Manifest</summary><pre>{escape(_yaml(result.manifest))}</pre></details>"
    return (
        section("Digest", text, "same manifest, code and data: same digest")
        + f"<section>{manifest}</section>"
    )


def _yaml(manifest: Mapping[str, Any]) -> str:
    import yaml

    simple = json.loads(json.dumps(manifest, default=str))
    return str(yaml.safe_dump(simple, sort_keys=False, allow_unicode=True, width=100))


def _meanings() -> str:
    rows = "".join(
        f'<tr><td class="l">{escape(x.label)}</td><td class="wrap">{escape(x.meaning)}</td>'
        f'<td class="l"><code>{escape(x.name)}</code></td></tr>'
        for x in DEFINITIONS.values()
    )
    inner = table(("Metric", "Meaning", "Name in JSON"), [rows], left=(0, 1, 2))
    return f"<section><details><summary>What the figures mean</summary>{inner}</details></section>"
