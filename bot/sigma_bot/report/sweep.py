"""The HTML report of a parameter sweep: the best runs, the landscape they stand in, and how much of it is
luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.metrics.definitions import DEFINITIONS, Metric
from sigma_bot.report.format import NOTHING, show
from sigma_bot.report.page import Figure, chart, escape, page, section, table, tile, write_page

MOST_LISTED = 200
MOST_WRITTEN = 400
COLUMNS = ("total_return", "cagr", "sharpe", "sortino", "max_drawdown", "profit_factor", "trades", "fees")

Value = float | int | bool


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: its parameters and its metrics (money as Decimal or decimal text)."""

    params: Mapping[str, Value]
    metrics: Mapping[str, Metric]

    def score(self, objective: str) -> float | None:
        """The objective's value; None when it is undefined for this run."""
        value = self.metrics.get(objective)
        return None if value is None else float(value)


def sweep_html(
    path: str | Path,
    rows: Sequence[Trial],
    x: str,
    y: str | None,
    objective: str,
    *,
    name: str,
    subtitle: str = "",
    trials: int | None = None,
    deflated: float | None = None,
    maximise: bool = True,
) -> Path:
    """Write the report of a sweep over parameters ``x`` and ``y`` (None: only one was swept).

    ``rows`` are the runs to show, ``trials`` how many were made (default: as many), ``deflated`` the deflated
    Sharpe ratio of the best one (:func:`sigma_bot.metrics.ratios.deflated_sharpe`). Raises ``BadInputError``
    for an unknown objective or parameter, or a place that cannot be written.
    """
    _check(rows, [x] if y is None else [x, y], objective)
    ranked = ranking(rows, objective, maximise)
    known = DEFINITIONS[objective]
    figure = line_figure(rows, x, objective) if y is None else heat_figure(rows, x, y, objective, maximise)
    count = len(rows) if trials is None else trials
    parts = [
        _tiles(ranked, objective, count, deflated),
        section(
            f"{known.label} by {x}" + (f" and {y}" if y else ""),
            chart("landscape", "tall"),
            _hidden(rows, x, y),
        ),
        _best_runs(ranked, objective),
        _caution(count, deflated),
    ]
    heading = f'<header class="top"><h1>{escape(name)}</h1><p class="sub">{escape(subtitle)}</p></header>'
    body = f"<main>{''.join(parts)}</main><footer>SIGMA-X · sweep</footer>"
    return write_page(path, page(f"{name} · sweep · SIGMA-X", body, {"landscape": figure}, heading))


def ranking(rows: Sequence[Trial], objective: str, maximise: bool = True) -> list[Trial]:
    """Runs from the best to the worst; those without a value come last."""
    sign = -1.0 if maximise else 1.0

    def place(trial: Trial) -> tuple[bool, float]:
        score = trial.score(objective)
        return score is None, 0.0 if score is None else sign * score

    return sorted(rows, key=place)


def heat_figure(rows: Sequence[Trial], x: str, y: str, objective: str, maximise: bool = True) -> Figure:
    """Objective over two parameters; where others were swept too, a cell shows its best run."""
    across = sorted({row.params[x] for row in rows})
    up = sorted({row.params[y] for row in rows})
    best: dict[tuple[Value, Value], float] = {}
    for row in rows:
        score = row.score(objective)
        cell = row.params[x], row.params[y]
        if score is not None and (cell not in best or (score > best[cell]) == maximise):
            best[cell] = score
    grid = [[best.get((i, j)) for i in across] for j in up]
    kind = DEFINITIONS[objective].kind
    words = [["" if value is None else show(value, kind) for value in line] for line in grid]
    heat: dict[str, Any] = {
        "type": "heatmap",
        "x": [f"{value:g}" for value in across],
        "y": [f"{value:g}" for value in up],
        "z": grid,
        "text": words,
        "colorscale": "Viridis",
        "reversescale": not maximise,
        "hoverongaps": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": f"{escape(x)} %{{x}}, {escape(y)} %{{y}}: %{{text}}<extra></extra>",
        "colorbar": {"thickness": 12, "outlinewidth": 0},
    }
    if len(across) * len(up) <= MOST_WRITTEN and len(across) <= 16:
        heat["texttemplate"] = "%{text}"
    layout = {
        "xaxis": {"title": {"text": escape(x)}, "type": "category"},
        "yaxis": {"title": {"text": escape(y)}, "type": "category"},
    }
    return {"data": [heat], "layout": layout}


def line_figure(rows: Sequence[Trial], x: str, objective: str) -> Figure:
    """Objective over one parameter, one point a run."""
    points = sorted((row.params[x], row.score(objective)) for row in rows if row.score(objective) is not None)
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [point[0] for point in points],
        "y": [point[1] for point in points],
        "line": {"color": "@accent", "width": 1.5},
        "marker": {"color": "@accent", "size": 5},
        "hovertemplate": f"{escape(x)} %{{x}}: %{{y}}<extra></extra>",
    }
    label = DEFINITIONS[objective].label
    layout = {"xaxis": {"title": {"text": escape(x)}}, "yaxis": {"title": {"text": label}}}
    return {"data": [line], "layout": layout}


def _check(rows: Sequence[Trial], params: Sequence[str], objective: str) -> None:
    if objective not in DEFINITIONS:
        raise BadInputError(f"objective {objective!r} is no metric{nearest(objective, DEFINITIONS)}")
    if DEFINITIONS[objective].kind in ("time", "text"):
        raise BadInputError(f"objective {objective!r} is no number; take one such as 'sharpe'")
    if not rows:
        raise BadInputError("a sweep without a single finished run has nothing to report")
    for name in params:
        if name not in rows[0].params:
            raise BadInputError(f"parameter {name!r} was not swept{nearest(name, rows[0].params)}")


def _hidden(rows: Sequence[Trial], x: str, y: str | None) -> str:
    """Names the parameters that vary but are not on an axis."""
    first = rows[0].params
    others = [
        name for name in first if name not in (x, y) and any(row.params[name] != first[name] for row in rows)
    ]
    return f"best over {', '.join(others)}" if others else ""


def _tiles(ranked: Sequence[Trial], objective: str, count: int, deflated: float | None) -> str:
    best, known = ranked[0], DEFINITIONS[objective]
    middle = ranked[len(ranked) // 2]
    tiles = [
        tile(f"Best {known.label}", show(_number(best, objective), known.kind), _params(best)),
        tile(
            "Median run",
            show(_number(middle, objective), known.kind),
            f"{known.label} of the run in the middle",
        ),
        tile("Trials", f"{count:,}", "every one of them counts against the best"),
        tile("Deflated Sharpe", show(deflated, "percent"), "probability that the best is more than luck"),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _best_runs(ranked: Sequence[Trial], objective: str) -> str:
    names = list(ranked[0].params)
    columns = [objective, *(name for name in COLUMNS if name != objective)]
    heads = ["#", *names, *(DEFINITIONS[name].label for name in columns)]
    rows = []
    for place, trial in enumerate(ranked[:MOST_LISTED], start=1):
        params = "".join(f"<td>{escape(f'{trial.params[name]:g}')}" for name in names)
        figures = "".join(f"<td>{escape(show(_number(trial, c), DEFINITIONS[c].kind))}" for c in columns)
        rows.append(f"<tr><td>{place}{params}{figures}</tr>")
    note = f"the best {min(len(ranked), MOST_LISTED):,} of {len(ranked):,}"
    return section("Best runs", table(heads, rows, sortable=True), note)


def _number(trial: Trial, name: str) -> Metric:
    """A metric to show; money that came as text becomes a number."""
    value = trial.metrics.get(name)
    return float(value) if isinstance(value, str) and DEFINITIONS[name].kind == "money" else value


def _params(trial: Trial) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in trial.params.items()) or NOTHING


def _caution(count: int, deflated: float | None) -> str:
    if deflated is None:
        verdict = (
            "The deflated Sharpe ratio is undefined here: the returns do not vary, or there are too few."
        )
    elif deflated >= 0.95:
        verdict = "Chance alone would rarely show a best run as good as this one."
    else:
        verdict = "A search this wide often finds a run as good by chance alone: do not trade it yet."
    sentence = (
        f"The best of {count:,} runs looks good even when none of them is. The deflated Sharpe ratio "
        "(Bailey and López de Prado, 2014) is the probability that the true Sharpe ratio of the best run "
        f"exceeds what the best of {count:,} worthless runs would have shown."
    )
    return section("How much is luck", f"<p>{escape(verdict)}</p><p class=muted>{escape(sentence)}</p>")
