"""One session of a bot: from the lease over recovery to the last tick. A session that fails leaves nothing
behind but the journal; the next one starts as after a crash, since there is only this one way to start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.errors import BadInputError
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.errors import LeaseHeldError
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.types import BotIdentity, Loaded, Registration
from sigma_bot.model.conversion import Run
from sigma_bot.model.messages import CONTROL, wants_topic
from sigma_bot.model.orders import Change, InputRow, Inputs, NoticeRow
from sigma_bot.runtime import checkpoint as state
from sigma_bot.runtime.callbacks import check_called, start
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.runtime.loader import LoadedStrategy, load_strategy
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.spec import dump_manifest
from sigma_bot.times import MINUTE, clock
from sigma_bot.trading.adapters import ExecutionAdapter, SimulatorAdapter
from sigma_bot.trading.bot import ChangeObserver, ControlsPolled, TradingBot
from sigma_bot.trading.crash import point
from sigma_bot.trading.history import HistoryClient
from sigma_bot.trading.simulator import SimulatorExecutor
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.ticks import Gap, TickReader

log = logging.getLogger(__name__)
Work = Callable[[], Coroutine[Any, Any, None]]
SUBSCRIBE_S = 30.0
MAX_BATCHES_WAITING = 100
"""Batches in the mailbox after which the reader pauses: a thousand of 50 symbols take 25 MiB."""
SHORT_WARMUP_NS = MINUTE
"""A warm-up that ends so soon needs no word: thin markets have no tick at its very beginning."""
CLOSED_BY = "close"
"""Who gives the controls that close a bot."""


def holder_name() -> str:
    """Names this process: host, process id, and when it started, since ids are used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return "0"


def process_ended(holder: str) -> bool:
    """Whether the process of a lease was one of this machine and has ended: its lease need not run out."""
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    started = holder.rpartition(":")[2]
    if host != socket.gethostname() or not rest.isdigit():
        return False
    return not Path(f"/proc/{rest}").exists() or _started(int(rest)) != started


@dataclass(frozen=True)
class Settings:
    """How a bot runs, besides its manifest. ``base``: the folder that relative paths start at; ``on_change``
    (refuse, adopt, reset): what to do when code or manifest are not those of the stored state; ``code``: the
    strategy as this process has read it; ``closing``: it only settles its account."""

    manifest: Manifest
    base: Path
    on_change: str = "adopt"
    reset: bool = False
    lease_ttl_s: float = 10.0
    holder: str = field(default_factory=holder_name)
    code: LoadedStrategy | None = None
    closing: bool = False

    def read(self) -> Settings:
        """With the code in it. A file that is changed while the bot runs counts from the next start on."""
        return replace(self, code=self.code or load_strategy(self.manifest.spec.strategy, self.base))

    def strategy(self) -> LoadedStrategy:
        """The code with an instance of its own."""
        code = self.code or load_strategy(self.manifest.spec.strategy, self.base)
        return replace(code, instance=code.cls(**code.params))


def bot_name(manifest: Manifest) -> str:
    """The bot's name in the journal: namespace and name in a cluster, the name alone elsewhere."""
    own = manifest.metadata
    return own.name if own.namespace is None else f"{own.namespace}/{own.name}"


def identity_of(manifest: Manifest, loaded: LoadedStrategy) -> BotIdentity:
    """Who the bot is, and what it runs."""
    from sigma_bot.runtime.identity import manifest_digest

    account = manifest.spec.account
    return BotIdentity(
        name=bot_name(manifest),
        mode=manifest.spec.mode,
        venue=account.venue,
        account=account.name,
        currency=account.currency,
        code_digest=loaded.digest,
        manifest_digest=manifest_digest(manifest, loaded),
        manifest=dump_manifest(manifest),
    )


@dataclass
class OpenedBot:
    """A bot ready to run."""

    decisions: DecisionEngine
    run: Run
    lease: Lease
    loaded: Loaded | None
    inputs: Inputs
    desk: dict[str, Any]
    digest: str
    after: int | None  # the last tick that the state holds; None: the run has not seen one


async def take_lease(journal: Journal, bot: str, settings: Settings) -> Lease:
    """The lease; that of a dead process of this machine at once. Raises LeaseHeldError."""
    try:
        return await journal.acquire(bot, settings.holder, settings.lease_ttl_s)
    except LeaseHeldError as held:
        if not process_ended(held.holder):
            raise
        log.warning("%s ended without giving its lease back; taking it over", held.holder)
        dead = await journal.acquire(bot, held.holder, settings.lease_ttl_s)
        await journal.release(dead)
        return await journal.acquire(bot, settings.holder, settings.lease_ttl_s)


async def open_bot(journal: Journal, settings: Settings) -> OpenedBot:
    """Lease first, then the state of the last session, or a fresh run. Raises BadInputError, LeaseHeldError,
    StrategyError."""
    manifest = settings.manifest
    loaded = settings.strategy()
    check_called(loaded.name, loaded.cls, "tick", manifest.spec.timeframes)
    identity = identity_of(manifest, loaded)
    registered = await journal.register(identity, time.time_ns())
    lease = await take_lease(journal, identity.name, settings)
    try:
        if not settings.closing:
            await lift_close_controls(journal, identity.name)
        return await _restore(journal, lease, settings, loaded, identity, registered)
    except BaseException:
        await journal.release(lease)
        raise


async def lift_close_controls(journal: Journal, bot: str) -> None:
    """A bot that was closed and is started again trades again: what closing it left is lifted."""
    controls = await journal.controls_for(bot)
    now = time.time_ns()
    for flatten in controls.flatten:
        if flatten.by == CLOSED_BY:
            await journal.done(bot, flatten.id, now)
    if any(halt.by == CLOSED_BY and halt.scope == "strategy" for halt in controls.halts):
        await journal.control("strategy", bot, "resume", "started again", by=CLOSED_BY, now=now)


async def _restore(
    journal: Journal,
    lease: Lease,
    settings: Settings,
    code: LoadedStrategy,
    identity: BotIdentity,
    registered: Registration,
) -> OpenedBot:
    same = (registered.code_digest, registered.manifest_digest) == (
        identity.code_digest,
        identity.manifest_digest,
    )
    adopted = False
    if settings.reset and not registered.fresh:
        if identity.mode == "live":
            raise BadInputError(
                f"bot {identity.name!r}: --reset is for SIM; in LIVE the account is what it is"
            )
        registered = await journal.new_run(lease, identity, time.time_ns(), "reset")
    elif not same and not registered.fresh:
        what = "code" if registered.code_digest != identity.code_digest else "manifest"
        registered, adopted = await _changed(journal, lease, settings, identity, registered, what)
    spec = settings.manifest.spec
    start(code.instance)
    decisions = DecisionEngine(spec, code.instance)
    stored = await journal.load(identity.name)
    desk: dict[str, Any] = {}
    if stored is not None and stored.state is not None:
        desk = state.load(stored.state, decisions.broker, None if adopted else code.instance)
    newest = await journal.last_inputs(identity.name, registered.run, ("raised", "resume"))
    decisions.suspended_from = suspended_from(newest)
    begun = await journal.run_of(identity.name, registered.run)
    run = Run(
        identity.name,
        registered.run,
        begun.started,
        tuple(market.symbol for market in spec.markets),
        spec.account.currency,
        spec.account.precision,
    )
    inputs = Inputs(0 if stored is None else stored.inputs)
    if adopted:
        change = Change(tick=0 if stored is None else stored.tick, ts=decisions.broker.ts)
        inputs.add(change, "adopt", {"code": code.digest, "manifest": identity.manifest_digest})
        await journal.commit(lease, change)
    after = None
    if stored is not None and stored.state is not None:
        after = stored.tick
    elif begun.first_tick is not None:
        after = begun.first_tick - 1  # it ended before its first checkpoint: the same ticks again
    return OpenedBot(decisions, run, lease, stored, inputs, desk, code.digest, after)


async def _changed(
    journal: Journal,
    lease: Lease,
    settings: Settings,
    identity: BotIdentity,
    registered: Registration,
    what: str,
) -> tuple[Registration, bool]:
    """The code or the manifest is another: refuse, hand the account over to it, or begin anew."""
    if settings.on_change == "refuse":
        raise BadInputError(
            f"bot {identity.name!r}: its {what} has changed since run {registered.run} began; take the "
            "change back, or start with --on-change adopt (it takes over account and orders) or reset"
        )
    if settings.on_change == "reset":
        if identity.mode == "live":
            await _check_flat(journal, identity.name, registered.run)
        reason = f"{what} changed, reset"
        return await journal.new_run(lease, identity, time.time_ns(), reason), False
    log.warning("the %s has changed: it takes over the account; its indicators start anew", what)
    return await journal.adopt(lease, identity), True


async def _check_flat(journal: Journal, bot: str, run: int) -> None:
    """A new run of LIVE knows nothing of the old one's orders and positions, and would leave them unwatched.
    Raises BadInputError when there are any."""
    loaded = await journal.load(bot)
    if loaded is None or not (
        loaded.orders or (loaded.state is not None and state.holds_position(loaded.state))
    ):
        return
    what = f"{len(loaded.orders)} orders" if loaded.orders else "a position"
    raise BadInputError(
        f"bot {bot!r}: run {run} still has {what} at the venue, which a new run would leave unwatched; start "
        f"with --on-change adopt, give `sigma flatten {bot}`, and reset then"
    )


def suspended_from(newest: Mapping[str, InputRow]) -> int | None:
    """The tick on which the strategy raised, unless it was resumed since."""
    raised, resumed = newest.get("raised"), newest.get("resume")
    if raised is None or (resumed is not None and resumed.number > raised.number):
        return None
    return raised.tick


def sim_desk(opened: OpenedBot) -> SimulatorAdapter:
    """The desk of a virtual account."""
    living = [] if opened.loaded is None else opened.loaded.orders
    return SimulatorAdapter(SimulatorExecutor(opened.decisions, opened.run, living))


class Session:
    """Runs one opened bot: its loop, its reader, its lease, its controls."""

    def __init__(
        self,
        journal: Journal,
        bus: Bus,
        opened: OpenedBot,
        venue: str,
        desk: ExecutionAdapter,
        watch: ChangeObserver,
        heartbeat: Heartbeat,
        metrics: BotMetrics,
    ) -> None:
        self.journal, self.bus, self.opened, self.venue = journal, bus, opened, venue
        # a fresh run warms up on what the feed has kept and recorded, so that it may trade the sooner
        self.history = HistoryClient(bus, venue, opened.run.bot, opened.run.symbols)
        self.reader = TickReader(bus, venue, opened.after, opened.decisions.warmup, self.history)
        self.metrics = metrics
        self.beside: tuple[Work, ...] = ()
        self.quiet: Work = _nothing_is_sent
        self.bot = TradingBot(
            opened.decisions,
            opened.run,
            desk,
            journal,
            opened.lease,
            opened.inputs,
            opened.after or 0,
            opened.digest,
            watch,
            heartbeat,
            metrics,
        )

    async def run(self, *others: Work) -> None:
        """Until cancelled, or until something fails. ``others`` and ``beside`` run with it."""
        await self.read_controls()  # a halt given while nobody ran comes before the first tick
        own = (
            self.bot.loop,
            self._read,
            self.keep_lease,
            self._poll_controls,
            self._listen_for_controls,
            self._subscribe,
        )
        works = [*own, *self.beside, *others]
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise RuntimeError(f"{done} came to an end, which none of a session's tasks does by itself")
        finally:
            await cancel_tasks(tasks)

    async def _read(self) -> None:
        begun = self.opened.after is not None
        async for item in self.reader.batches():
            if isinstance(item, Gap):
                self.metrics.gap(item.last - item.first + 1)
            elif not begun:
                begun = True
                await self.journal.begin_ticks(self.opened.lease, item.seq, item.ts)
            self.bot.post(item)
            while len(self.bot.mailbox) > MAX_BATCHES_WAITING:
                await asyncio.sleep(0.01)

    async def keep_lease(self, renewed: Callable[[], None] = lambda: None) -> None:
        """Keep the lease, for ever; ``renewed`` is called each time it was prolonged."""
        lease = self.opened.lease
        while True:
            await asyncio.sleep(lease.ttl_s / 4)
            point("renew.before")
            await self.journal.renew(lease)
            point("renew.after")
            renewed()

    async def _poll_controls(self) -> None:
        known = False  # whether it is known when the warm-up ends
        while True:
            await self.read_controls()
            if not known and self.warmup_ends > time.time_ns() + SHORT_WARMUP_NS:
                self.bot.post(self._warmup_notice())
            known = known or self.warmup_ends > 0
            await asyncio.sleep(1.0)

    @property
    def warmup_ends(self) -> int:
        """When the warm-up is over, ns UTC; 0 before the first tick."""
        b = self.opened.decisions.broker
        return b.risk.trading_from if b.row >= 0 and self.opened.decisions.warmup else 0

    def _warmup_notice(self) -> NoticeRow:
        """Why the run can't trade yet, said once at each start."""
        begun = self.warmup_ends - self.opened.decisions.warmup
        text = (
            f"warm-up: no order before {clock(self.warmup_ends)} UTC; its ticks begin at {clock(begun)} UTC"
        )
        why = f": {self.history.reason}" if self.history.reason else ""
        return NoticeRow("state", "warm-up-short", text + why, self.opened.decisions.broker.ts)

    async def read_controls(self) -> None:
        """Read the controls now."""
        controls = await self.journal.controls_for(self.opened.run.bot)
        self.bot.post(ControlsPolled(controls))
        if self.bot.flattened.is_set():
            for flatten in controls.flatten:
                await self.journal.done(self.opened.run.bot, flatten.id, time.time_ns())

    async def _listen_for_controls(self) -> None:
        """The doorbell of the controls; without a bus the controls are seen within a second anyway."""
        while True:
            try:
                async with self.bus.subscribe(CONTROL) as rings:
                    async for _ in rings:
                        await self.read_controls()
            except BusError as error:
                log.warning("controls: %s", error)
            await asyncio.sleep(1.0)

    async def _subscribe(self) -> None:
        run = self.opened.run
        while True:
            try:
                await self.bus.want(wants_topic(self.venue), run.bot, list(run.symbols), SUBSCRIBE_S)
            except BusError as error:
                log.warning("the feed can't be told what is needed: %s", error)
            await asyncio.sleep(SUBSCRIBE_S / 3)

    async def end(self) -> None:
        """Store the state and give the lease back. Nothing is sent after that."""
        await self.quiet()
        await self.bot.checkpoint()
        await self.journal.release(self.opened.lease)


async def _nothing_is_sent() -> None:
    """By a SIM bot."""


@contextlib.asynccontextmanager
async def sim_session(
    journal: Journal,
    bus: Bus,
    settings: Settings,
    watch: ChangeObserver,
    heartbeat: Heartbeat,
    metrics: BotMetrics,
) -> AsyncIterator[Session]:
    """A SIM bot, opened."""
    opened = await open_bot(journal, settings)
    venue = settings.manifest.spec.account.venue
    yield Session(journal, bus, opened, venue, sim_desk(opened), watch, heartbeat, metrics)
