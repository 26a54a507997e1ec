"""A SIM run of the journal against the backtest of the ticks it saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.feed.recording import Recording, recorded
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.types import BotRun, BotStatus
from sigma_bot.model.orders import InputRow
from sigma_bot.parity.compare import Circumstances, Difference, Trace, compare, trace_of
from sigma_bot.parity.rerun import Rerun, columns_of, rerun
from sigma_bot.runtime.identity import manifest_digest
from sigma_bot.runtime.loader import LoadedStrategy, load_strategy
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.spec import parse_manifest

TRIES = 20
REPLAYED = frozenset(("halt", "resume", "flatten", "unflatten", "raised"))


@dataclass(frozen=True)
class SimRun:
    """What the journal holds of one run, up to batch ``last`` at ``ts``."""

    run: BotRun
    venue: str
    trace: Trace
    inputs: tuple[InputRow, ...]
    last: int
    ts: int


@dataclass(frozen=True)
class Verdict:
    """``difference`` None: both are the same. ``causes`` say what may be behind a difference."""

    sim: SimRun
    backtest: Rerun
    difference: Difference | None
    causes: list[str]
    missing: tuple[tuple[int, int], ...]


async def read_run(journal: Journal, name: str, number: int | None = None) -> SimRun:
    """A run of a bot (the current one). Of a bot that trades now, everything up to one commit.

    Raises BadInputError when there is no such bot or run, when it is no SIM bot, or it has seen no batch.
    """
    for _ in range(TRIES):
        status = await _status(journal, name)
        run = await journal.run_of(name, number)
        told = await journal.changes_since(name, 0)
        if (await _status(journal, name)).commit == status.commit:
            break
    else:
        raise BadInputError(f"bot {name!r} stores changes faster than they can be read: stop it first")
    if status.mode != "sim":
        raise BadInputError(f"bot {name!r} is {status.mode}: only SIM runs are compared, with `sigma parity`")
    if run.first_tick is None:
        raise BadInputError(f"bot {name!r}: run {run.number} has not seen a tick yet")
    orders = [entry.row for entry in told.orders if entry.run == run.number]
    fills = [entry.row for entry in told.fills if entry.run == run.number]
    inputs = tuple(entry.row for entry in told.inputs if entry.run == run.number)
    last, ts = status.tick, status.ts
    if run.number != status.run:  # an earlier run: up to the last thing that is known of it
        following = await journal.run_of(name, run.number + 1)
        ts = max([run.first_ts or 0, *(row.updated for row in orders), *(row.ts for row in fills)])
        last = max((following.first_tick or status.tick + 1) - 1, run.first_tick)
    return SimRun(run, status.venue, trace_of(orders, fills), inputs, last, ts)


async def _status(journal: Journal, name: str) -> BotStatus:
    bots = {bot.name: bot for bot in await journal.bots()}
    if name not in bots:
        raise BadInputError(f"there is no bot {name!r} in {journal.where.shown}{nearest(name, bots)}")
    return bots[name]


def check(sim: SimRun, ticks: Path, manifest: Manifest | None = None, base: Path = Path()) -> Verdict:
    """Backtest the recorded ticks of a run and compare. ``ticks`` is the folder of the recording; without
    ``manifest`` the stored one is used, its paths starting at ``base``.

    Raises BadInputError when code or recording can't be found or there is no tick to compare by,
    StrategyError when the strategy raises.
    """
    used = manifest or _stored(sim.run)
    loaded = _code(used, base, sim.run.bot)
    spec = used.spec
    first = sim.run.first_tick
    assert first is not None, "read_run has seen to it"
    symbols = [market.symbol for market in spec.markets]
    found = recorded(ticks, sim.venue, symbols, first, sim.last)
    if not found.tables and sim.trace.orders:
        raise BadInputError(
            f"{ticks / sim.venue}: no ticks of {', '.join(symbols)} are recorded for this run"
        )
    lost = tuple(_range(row) for row in sim.inputs if row.kind == "gap")
    columns = columns_of(_until(found, sim.ts), symbols, lost)
    if not len(columns["seq"]):
        raise BadInputError(
            f"bot {sim.run.bot!r}: run {sim.run.number} has seen no tick of {', '.join(symbols)}: there is "
            "nothing to compare"
        )
    again = rerun(spec, loaded, columns, [row for row in sim.inputs if row.kind in REPLAYED])
    difference = compare(sim.trace, again.trace)
    around = Circumstances(
        code=(sim.run.code_digest, loaded.digest),
        manifest=(sim.run.manifest_digest, manifest_digest(used, loaded)),
        missing=found.missing,
        lost=lost,
        adopted=tuple(row.tick for row in sim.inputs if row.kind == "adopt"),
    )
    return Verdict(sim, again, difference, around.causes() if difference else [], found.missing)


def _stored(run: BotRun) -> Manifest:
    told = parse_manifest(run.manifest)
    if not isinstance(told, Manifest):
        raise BadInputError(f"bot {run.bot!r}: the stored manifest is a {told.kind}, not a Strategy")
    return told


def _code(manifest: Manifest, base: Path, bot: str) -> LoadedStrategy:
    file = manifest.spec.strategy.file
    if file is not None and not (base / file).is_file():
        raise BadInputError(
            f"bot {bot!r}: its code {file} is not in {base.resolve()}; name its manifest with --manifest FILE"
        )
    return load_strategy(manifest.spec.strategy, base)


def _range(row: InputRow) -> tuple[int, int]:
    return int(str(row.payload["first"])), int(str(row.payload["last"]))


def _until(found: Recording, ts: int) -> dict[str, object]:
    """The tables up to ``ts``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    upto = pa.scalar(ts, pa.timestamp("ns", "UTC"))
    return {name: table.filter(pc.less_equal(table["ts"], upto)) for name, table in found.tables.items()}
