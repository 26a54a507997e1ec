"""``sigma data``: import market data into the catalogue, list it, show it, check it for faults."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_bot.errors import BadInputError

if TYPE_CHECKING:
    from sigma_bot.data.importing import Imported
    from sigma_bot.data.quality import Quality
    from sigma_bot.data.series import Part

KINDS = click.Choice(["auto", "bars", "quotes", "trades", "ticks"])
STAMPS = click.Choice(["auto", "open", "close"])


@click.group()
def data() -> None:
    """Import market data, list it, and check it for faults.

    \b
      sigma data import btc.csv --venue upbit --symbol KRW-BTC --timezone Asia/Seoul
      sigma data list
      sigma data show upbit/KRW-BTC/bars-1m
      sigma data check btc.csv

    The catalogue is the folder ~/.sigma/data, or the folder or the database that SIGMA_DATA names.
    """


def _mapping(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for canonical, equals, actual in pairs:
        if not (canonical and equals and actual):
            raise BadInputError(
                f"--column {canonical!r}: write our name and the file's, like close=Adj_Close"
            )
    return {canonical: actual for canonical, _, actual in pairs}


def _timeframe(text: str | None) -> int | None:
    from sigma_bot.spec.units import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadInputError(f"--timeframe {text!r}: {error}") from None


@data.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--venue", default="local", show_default=True, help="Exchange or source, a folder of the catalogue."
)
@click.option("--symbol", help="Symbol, when no column says it.")
@click.option(
    "--kind", default="auto", type=KINDS, help="What a row is; 'ticks' makes ticks of quotes or trades."
)
@click.option("--timeframe", help="Length of the bars, like 1m; told from the rows when left out.")
@click.option("--stamps", default="auto", type=STAMPS, help="Whether a bar's time is its open or its close.")
@click.option("--timezone", help="Zone of times that carry none: Asia/Seoul, +09:00, UTC.")
@click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS", help="A column by name; repeatable."
)
@click.option("--to", "place", metavar="PLACE", help="Catalogue: a folder, or a database's address.")
@click.option("--drop-bad", is_flag=True, help="Leave out rows that break a rule (NaN, high below low, ...).")
@click.option(
    "--replace", is_flag=True, help="Replace the stored files of the same dates instead of joining them."
)
def import_command(files: tuple[Path, ...], place: str | None, columns: tuple[str, ...], **said: Any) -> None:
    """Put CSV or Parquet files into the catalogue: sorted, checked, without repeated rows.

    Files of one symbol are joined; quotes and trades of one symbol together become 100 ms ticks.
    """
    from sigma_bot.cli.progress import Progress
    from sigma_bot.data.catalogue import open_catalogue
    from sigma_bot.data.importing import Options, import_files
    from sigma_bot.data.readers import estimate_rows, open_file

    said["timeframe"] = _timeframe(said["timeframe"])
    said["columns"] = _mapping(columns)
    progress, total, done = Progress("importing"), sum(estimate_rows(open_file(f)) for f in files), 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress.update(done, total)

    warnings: list[str] = []
    try:
        with closing(open_catalogue(place)) as catalogue:
            results = import_files(files, Options(catalogue, **said), warnings, advance)
    finally:
        progress.clear()
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for result in results:
        click.echo(_imported(result))


def _imported(r: Imported) -> str:
    from sigma_bot.times import iso

    parts = [f"{r.read:,} rows read", f"{r.stored:,} stored"]
    if r.out_of_order:
        parts.append("sorted by time")
    if r.duplicates:
        parts.append(f"{r.duplicates:,} repeated dropped")
    if r.dropped:
        parts.append(f"{r.dropped:,} bad left out")
    span = f", {iso(r.start)} .. {iso(r.end)}" if r.files else ""
    return f"{r.entry.name}: {', '.join(parts)}{span}"


@data.command("list")
@click.option(
    "--output",
    default="table",
    type=click.Choice(["table", "json"]),
    show_default=True,
    help="How to print it.",
)
def list_command(output: str) -> None:
    """What the catalogue holds."""
    from sigma_bot.data.catalogue import open_catalogue

    rows = []
    with closing(open_catalogue()) as catalogue:
        for entry in catalogue.entries():
            dates, count = catalogue.dates(entry), catalogue.rows(entry)
            rows.append({"name": entry.name, "rows": count, "first": dates[0], "last": dates[-1]})
    if output == "json":
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo(f"the catalogue {catalogue.shown} is empty; sigma data import FILE fills it", err=True)
    else:
        width = max(len(str(r["name"])) for r in rows)
        for r in rows:
            click.echo(f"{r['name']:{width}}  {r['rows']:>14,} rows  {r['first']} .. {r['last']}")


@data.command("show")
@click.argument("name")
@click.option(
    "--output",
    default="table",
    type=click.Choice(["table", "json"]),
    show_default=True,
    help="How to print it.",
)
def show_command(name: str, output: str) -> None:
    """Rows, span, timeframe, price range and gaps of one name of the catalogue."""
    from sigma_bot.services import market_data
    from sigma_bot.times import iso

    with market_data.stored_parts(name) as (parts, timeframe):
        quality = _inspect(parts, timeframe)
    if output == "json":
        document = {
            "name": name,
            **market_data.summary(quality),
            "gaps": [[iso(a), iso(b)] for a, b in quality.gaps],
        }
        click.echo(json.dumps(document))
        return
    for key, value in market_data.summary(quality).items():
        click.echo(f"{key:10} {value}")
    click.echo(f"{'gaps':10} {len(quality.gaps)}")
    for a, b in quality.gaps[:10]:
        click.echo(f"{'':10} {iso(a)} .. {iso(b)}")


@data.command("check")
@click.argument("name")
@click.option("--symbol", help="Symbol, in a file that has several.")
@click.option("--kind", default="auto", type=KINDS, help="What a row is.")
@click.option("--timeframe", help="Length of the bars, like 1m; told from the rows when left out.")
@click.option("--timezone", help="Zone of times that carry none: Asia/Seoul, +09:00, UTC.")
@click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS", help="A column by name; repeatable."
)
@click.option(
    "--output",
    default="table",
    type=click.Choice(["table", "json"]),
    show_default=True,
    help="How to print it.",
)
@click.pass_context
def check_command(
    ctx: click.Context,
    name: str,
    symbol: str | None,
    kind: str,
    timeframe: str | None,
    timezone: str | None,
    columns: tuple[str, ...],
    output: str,
) -> None:
    """Look for gaps, duplicates, disorder, crossed quotes, impossible prices and outliers.

    NAME is a file or a name of the catalogue. Exit code: 0 clean, 1 something was found, 2 the file cannot
    be read.
    """
    from sigma_bot.services import market_data

    length = _timeframe(timeframe)
    path = Path(name)
    if path.exists():
        by_symbol = market_data.file_parts(path, symbol, kind, timezone, _mapping(columns))
        reports = {key: _inspect(parts, length) for key, parts in by_symbol.items()}
    else:
        with market_data.stored_parts(name) as (parts, length):
            reports = {name: _inspect(parts, length)}
    if output == "json":
        click.echo(
            json.dumps(
                [
                    {"name": key, **market_data.summary(q), "findings": market_data.findings(q)}
                    for key, q in reports.items()
                ]
            )
        )
    else:
        for key, quality in reports.items():
            _print(key, quality)
    ctx.exit(1 if any(q.findings for q in reports.values()) else 0)


def _print(name: str, quality: Quality) -> None:
    from sigma_bot.services import market_data

    head = market_data.summary(quality)
    click.echo(f"{name}: {head['rows']:,} {quality.kind}, {head['start']} .. {head['end']}")
    for finding in market_data.findings(quality):
        click.echo(f"  {finding['count']:>8,}  {finding['name']}; first: {finding['first']}")
    if not quality.findings:
        click.echo("  clean")


def _inspect(parts: list[Part], timeframe: int | None) -> Quality:
    from sigma_bot.cli.progress import Progress
    from sigma_bot.data.quality import inspect
    from sigma_bot.data.readers import estimate_rows

    progress, total, done = Progress("checking"), sum(estimate_rows(p.file) for p in parts), 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress.update(done, total)

    try:
        return inspect(parts, timeframe, advance)
    finally:
        progress.clear()
