"""The two kinds of manifest: ``Backtest`` and ``Strategy`` of group sigma-x.io, version v1alpha1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from sigma_bot.decimals import fixed_point
from sigma_bot.spec.blocks import (
    MAX_MARKETS,
    MAX_TIMEFRAMES,
    Account,
    Block,
    Data,
    Execution,
    Market,
    ObjectName,
    Period,
    Problem,
    Report,
    Risk,
    StrategyRef,
    VenueName,
)
from sigma_bot.spec.pods import JobOptions, PodOptions
from sigma_bot.spec.quotes import strangers
from sigma_bot.spec.sweep import Sweep
from sigma_bot.spec.units import Between, Duration, PositiveAmount, Timeframe

API_VERSION = "sigma-x.io/v1alpha1"


class Metadata(Block):
    """The object's name and labels."""

    # What a server writes into every object: a manifest read back from a cluster carries it.
    ignored = frozenset(
        (
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "ownerReferences",
            "finalizers",
            "selfLink",
        )
    )
    name: ObjectName
    """Name of the object; its results are stored under it."""
    namespace: ObjectName | None = None
    """Namespace in the cluster."""
    labels: dict[str, str] = {}
    """Labels to select by."""
    annotations: dict[str, str] = {}
    """Notes for tools."""


class CommonSpec(Block):
    """What a backtest and a running strategy have in common."""

    strategy: StrategyRef
    """The strategy and its parameters."""
    markets: Annotated[tuple[Market, ...], Field(min_length=1, max_length=MAX_MARKETS)]
    """The symbols it trades, with the rules of their venue."""
    timeframes: Annotated[tuple[Timeframe, ...], Field(max_length=MAX_TIMEFRAMES)] = ()
    """Bars made from the data for on_bar. Left out: the data's own bars, or none on ticks."""
    warmup: Annotated[Duration, Between("0s", "3650d")] = Duration("0s")
    """Time after the start in which the strategy sees data but no order is accepted."""
    execution: Execution = Execution()
    """How orders are assumed to fill in BACKTEST and SIM."""
    risk: Risk = Risk()
    """Limits on every order."""

    def problems(self) -> Iterator[Problem]:
        """No symbol and no timeframe twice."""
        first: dict[str, int] = {}
        for i, market in enumerate(self.markets):
            if market.symbol in first:
                where = f"spec.markets[{first[market.symbol]}]"
                text = f'"{market.symbol}" stands already in {where}: give each symbol once'
                yield ("markets", i, "symbol"), text
            first.setdefault(market.symbol, i)
        seen: set[int] = set()
        for i, timeframe in enumerate(self.timeframes):
            if timeframe.ns in seen:
                yield ("timeframes", i), f'"{timeframe}" stands twice: give each timeframe once'
            seen.add(timeframe.ns)


def foreign_markets(spec: BacktestSpec | StrategySpec) -> Iterator[Problem]:
    """Markets that the account's currency cannot count."""
    given = "currency" in spec.account.model_fields_set
    symbols = [market.symbol for market in spec.markets]
    for i, text in strangers(symbols, spec.account.currency if given else None):
        yield ("markets", i, "symbol"), text


class BacktestSpec(CommonSpec):
    """A strategy, the data it is run on, and every assumption of the run."""

    data: Data
    """The market data."""
    period: Period = Period()
    """The stretch of the data that is run."""
    account: Account = Account()
    """The simulated account."""
    report: Report = Report()
    """What the report shows."""
    sweep: Sweep | None = None
    """Try many values of its parameters, on a cluster. Left out: one run with the parameters as they are."""
    job: JobOptions = JobOptions()
    """The Job it runs in, on a cluster."""
    suspend: StrictBool = False
    """On a cluster: do not run yet, or stop; the run begins anew when this is taken back."""

    def problems(self) -> Iterator[Problem]:
        """Every market has data."""
        yield from super().problems()
        yield from foreign_markets(self)
        if self.data.source == "file" and self.data.path is None:
            without = [m.symbol for m in self.markets if m.data is None]
            if without:
                text = f"is missing: no data for {', '.join(without)}; name a CSV or Parquet file"
                yield ("data", "path"), text


class SecretRef(Block):
    """A Kubernetes Secret in the strategy's namespace."""

    name: ObjectName
    """Name of the Secret that holds the venue's API keys."""


class Confirm(Block):
    """Said twice on purpose: a live strategy trades real money."""

    account: ObjectName
    """Name of the account, once more."""
    max_loss: PositiveAmount
    """risk.maxDailyLoss, once more: the money this strategy may lose in a day."""


class AccountLimits(Block):
    """Limits on the account over all its strategies together. A limit left out is off."""

    max_exposure: PositiveAmount | None = None
    """Largest value of all positions and of the orders that would add to them."""
    max_open_orders: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    """Most orders open at one time."""
    max_orders_per_minute: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    """Most orders sent within one minute."""
    max_daily_loss: PositiveAmount | None = None
    """Loss of all strategies since the start of the day after which no new exposure is taken."""


class VenueAccount(Account):
    """The account at a venue. In SIM the balance is the simulated one given here."""

    venue: VenueName
    """Exchange that gives the prices and, in LIVE, takes the orders."""
    name: ObjectName
    """Your name for the account. Strategies of one account share its limits, never its orders."""
    limits: AccountLimits = AccountLimits()
    """Limits that all strategies of the account share."""
    secret_ref: SecretRef | None = None
    """The venue's API keys; needed in LIVE."""
    confirm: Confirm | None = None
    """Needed in LIVE: the account and the loss you accept, said once more."""


class StrategySpec(CommonSpec):
    """A strategy that runs on real-time prices."""

    mode: Literal["live", "sim"] = "sim"
    """sim: a virtual account on real-time prices. live: real orders."""
    account: VenueAccount
    """The account it trades."""
    deletion_policy: Literal["leave", "cancel", "flatten"] = "cancel"
    """When the Strategy is deleted: leave everything, cancel its open orders, or also close its positions."""
    swap_policy: Literal["drain", "adopt", "flatten"] = "adopt"
    """When its code changes while a position is open: let the old code close it first, hand it to the new
    code, or close it at once."""
    on_unprotected: Literal["alert", "flatten"] = "alert"
    """When a position loses its stop or target, be it refused or ended at the venue: tell, or also close what
    is held and halt."""
    suspend: StrictBool = False
    """Stop the bot and keep everything else: no decision is taken, its orders are cancelled."""
    bot: PodOptions = PodOptions()
    """The pod it runs in, on a cluster."""

    def problems(self) -> Iterator[Problem]:
        """Real money needs keys, limits and a confirmation."""
        yield from super().problems()
        yield from foreign_markets(self)
        if self.mode == "live":
            yield from self._live_problems()

    def _live_problems(self) -> Iterator[Problem]:
        if self.account.secret_ref is None:
            yield (
                ("account", "secretRef"),
                'is missing: "mode: live" needs the Secret with the venue\'s API keys',
            )
        for name in ("max_position", "max_notional", "max_daily_loss", "stale_after"):
            if getattr(self.risk, name) is None:
                yaml_name = str(Risk.model_fields[name].alias)
                yield ("risk", yaml_name), 'is missing: "mode: live" needs this limit'
        confirm, loss = self.account.confirm, self.risk.max_daily_loss
        if confirm is None:
            text = "is missing: \"mode: live\" needs 'account' and 'maxLoss' said once more here"
            yield ("account", "confirm"), text
            return
        if confirm.account != self.account.name:
            text = f'must be the account\'s name, "{self.account.name}", got "{confirm.account}"'
            yield ("account", "confirm", "account"), text
        if loss is not None and confirm.max_loss != loss:
            wanted, got = fixed_point(loss), fixed_point(confirm.max_loss)
            text = f'must equal spec.risk.maxDailyLoss, "{wanted}", got "{got}"'
            yield ("account", "confirm", "maxLoss"), text


class _Manifest(Block):
    ignored = frozenset(("status",))
    api_version: Literal["sigma-x.io/v1alpha1"]
    """Group and version of the format."""
    metadata: Metadata
    """Name and labels."""


class Backtest(_Manifest):
    """Run a strategy on historical data."""

    kind: Literal["Backtest"]
    """Kind of the object."""
    spec: BacktestSpec
    """What is run."""


class Strategy(_Manifest):
    """Run a strategy on real-time prices."""

    kind: Literal["Strategy"]
    """Kind of the object."""
    spec: StrategySpec
    """What is run."""


KINDS: dict[str, type[Backtest] | type[Strategy]] = {"Backtest": Backtest, "Strategy": Strategy}
