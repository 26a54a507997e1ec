"""``sigma check``: look for lookahead and unsettled warm-up in a strategy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_bot.cli.options import run_options
from sigma_bot.decimals import fixed_point
from sigma_bot.times import DAY, HOUR, MINUTE, SECOND, iso

if TYPE_CHECKING:
    from sigma_bot.backtest.honesty import Finding, Honesty, Rows

WORDS = {
    "read": "lookahead",
    "repeat": "decides at random",
    "cut": "lookahead",
    "start": "unsettled warm-up",
}


@click.command(short_help="Look for lookahead and unsettled warm-up in a strategy.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter.")
@run_options
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@click.pass_context
def check(
    ctx: click.Context,
    file: Path,
    settings: tuple[str, ...],
    start: str | None,
    end: str | None,
    data: str | None,
    engine: str,
    output: str,
) -> None:
    """Replay the backtest that FILE describes with the end and the beginning of its data cut off, and report
    every decision that changes. Ends with 1 when there is one.

    \b
    sigma check examples/ema-cross/backtest.yaml
    sigma check FILE --set fast=8 --output json
    """
    from sigma_bot.backtest.honesty import check_honesty
    from sigma_bot.services.backtests import overridden
    from sigma_bot.spec import load_manifest

    manifest = overridden(load_manifest(file, "Backtest"), file.parent, settings, start, end, data)
    found = check_honesty(manifest, file.parent, engine)  # type: ignore[arg-type]
    if output == "json":
        click.echo(json.dumps(document(found), ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    else:
        click.echo("\n".join(lines(found)))
    ctx.exit(0 if found.honest else 1)


def document(found: Honesty) -> dict[str, Any]:
    """The JSON document: times ISO 8601 UTC, quantities and prices decimal text."""
    from sigma_bot.times import iso

    return {
        "name": found.name,
        "honest": found.honest,
        "engine": found.engine,
        "decisions": found.decisions,
        "cuts": [iso(t) for t in found.cuts],
        "starts": [iso(t) for t in found.shifts],
        "warmup": duration(found.warmup),
        "enough_warmup": None if found.enough is None else duration(found.enough),
        "findings": [
            {
                "kind": f.kind,
                "what": WORDS[f.kind],
                "at": iso(f.at) if f.at else None,
                "time": iso(f.time) if f.time else None,
                "full": order_of(found, f.full),
                "part": order_of(found, f.part),
                "text": sentence(found, f),
            }
            for f in found.findings
        ],
        "notes": list(found.notes),
    }


def lines(found: Honesty) -> list[str]:
    """What a person reads."""
    if found.honest:
        out = [
            f"{found.name}: honest as far as {len(found.cuts)} cuts and {len(found.shifts)} late starts can "
            f"tell ({found.decisions:,} decisions, {found.engine})"
        ]
    else:
        out = [f"{found.name}: differences found"]
        for finding in found.findings:
            out.append(f"  {WORDS[finding.kind]}: {sentence(found, finding)}")
    if any(f.kind == "start" for f in found.findings):
        out.append(f"  {advice(found)}")
    return out + [f"  note: {note}" for note in found.notes]


def sentence(found: Honesty, finding: Finding) -> str:
    """One finding: when, what the whole run decided, what the run on part of the data did."""
    from sigma_bot.times import iso

    if finding.kind == "read":
        return finding.text
    whole, part = (describe(found, rows) for rows in (finding.full, finding.part))
    on_all, on_part = {
        "repeat": ("the first run", "the second, on the same data,"),
        "cut": ("with all data it", f"with the data ending at {iso(finding.at)} it"),
        "start": ("with all history it", f"with the data beginning at {iso(finding.at)} it"),
    }[finding.kind]
    return f"at {iso(finding.time)} {on_all} {whole}, {on_part} {part}"


def advice(found: Honesty) -> str:
    """Which warm-up to declare."""
    now = f"spec.warmup is {duration(found.warmup)}"
    if found.enough is None:
        return (
            f"{now}; no warm-up that these data allow is enough: the strategy remembers where its data began"
        )
    return f"{now}; warmup: {duration(found.enough)} is enough for every late start that was tried"


def describe(found: Honesty, rows: Rows | None) -> str:
    """A decision in words."""
    order = order_of(found, rows)
    if order is None:
        return "does nothing"
    where = "".join(f" {name} {order[name]}" for name in ("limit", "stop") if order[name] is not None)
    text = f"{order['side']} {order['quantity']} {order['symbol']} {order['kind']}{where}"
    verb = {"new": "sends", "reject": "sends", "modify": "changes to", "cancel": "cancels"}[order["event"]]
    return f"{verb} {text}" + (f" (refused: {order['reason']})" if order["event"] == "reject" else "")


def order_of(found: Honesty, rows: Rows | None) -> dict[str, Any] | None:
    """A decision for JSON."""
    from sigma_bot.engine.types import EventType, OrderType, Reason
    from sigma_bot.report.format import price

    if rows is None:
        return None
    row = rows[0]
    symbol = int(row["symbol"])
    return {
        "event": EventType(row["kind"]).text,
        "time": iso(int(row["ts"])),
        "symbol": found.symbols[symbol],
        "side": "buy" if row["side"] > 0 else "sell",
        "kind": OrderType(row["order_type"]).text,
        "quantity": fixed_point(int(row["lots"]) * found.lot_sizes[symbol]),
        "limit": price(row["price"]) if row["price"] != 0.0 else None,
        "stop": price(row["stop"]) if row["stop"] != 0.0 else None,
        "reason": Reason(row["reason"]).text or None,
    }


def duration(ns: int) -> str:
    """A duration as a manifest takes it: a whole number of the largest unit that fits."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if ns >= unit and ns % unit == 0:
            return f"{ns // unit}{name}"
    return f"{-(-ns // SECOND)}s"
