"""Opening a bot: its lease, then the state of its last session, or a fresh run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sigma_bot.errors import BadInputError
from sigma_bot.journal.errors import LeaseHeldError
from sigma_bot.journal.journal import Journal
from sigma_bot.journal.lease import Lease
from sigma_bot.journal.types import BotIdentity, Registration, ResumePoint
from sigma_bot.model.conversion import RunContext
from sigma_bot.model.orders import Change, InputRow, Inputs
from sigma_bot.runtime import checkpoint
from sigma_bot.runtime.callbacks import check_called, start
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.runtime.loader import LoadedStrategy
from sigma_bot.trading.lifecycle import check_orders
from sigma_bot.trading.settings import Settings, identity_of, process_ended

log = logging.getLogger(__name__)
CLOSED_BY = "close"
"""Who gives the controls that close a bot."""


@dataclass
class OpenedBot:
    """What a session goes on from. ``adapter_state`` is what the ExecutionAdapter stored."""

    decisions: DecisionEngine
    run: RunContext
    lease: Lease
    loaded: ResumePoint | None
    inputs: Inputs
    adapter_state: dict[str, Any]
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
    adapter_state: dict[str, Any] = {}
    if stored is not None and stored.state is not None:
        adapter_state = checkpoint.load(stored.state, decisions.broker, None if adopted else code.instance)
        check_orders(decisions.broker)
    newest = await journal.last_inputs(identity.name, registered.run, ("raised", "resume"))
    decisions.suspended_from = suspended_from(newest)
    begun = await journal.run_of(identity.name, registered.run)
    run = RunContext(
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
    return OpenedBot(decisions, run, lease, stored, inputs, adapter_state, code.digest, after)


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
        loaded.orders or (loaded.state is not None and checkpoint.holds_position(loaded.state))
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
