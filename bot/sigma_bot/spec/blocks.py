"""The blocks of a manifest. Every field has a description, bounds, and a default a trader would choose.

YAML names are camelCase, Python names snake_case. A check across fields stands in ``problems`` of the
smallest block that holds them, so that everything wrong with a manifest is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from sigma_bot.decimals import fixed_point
from sigma_bot.errors import nearest
from sigma_bot.spec.units import (
    Amount,
    Between,
    DecimalText,
    Duration,
    Fraction,
    Instant,
    ParamValue,
    Plain,
    PositiveAmount,
    Rebate,
    SmallFraction,
    Step,
    Timeframe,
    UtcOffset,
    Words,
    show,
    wrong,
)
from sigma_bot.venues.registry import NAMES, VENUES
from sigma_bot.venues.venue import Preset

Problem = tuple[tuple[str | int, ...], str]
MAX_MARKETS = 16
MAX_TIMEFRAMES = 8
MAX_BANDS = 24
LARGEST_CASH = 10**17

Whole = Annotated[int, Field(strict=True)]
Symbol = Annotated[
    str, Words(r"[A-Za-z0-9^][A-Za-z0-9._:/=^-]{0,31}", 'a symbol like "BTC/USDT", "KRW-BTC" or "GOOG"')
]
FilePath = Annotated[str, Words(r"[^\x00]{1,1000}", "the path of a file or folder")]
ClassName = Annotated[str, Words(r"[A-Za-z_][A-Za-z0-9_]*", 'the name of a Python class, like "EmaCross"')]
ParamName = Annotated[str, Words(r"[A-Za-z_][A-Za-z0-9_]*", 'the name of a parameter, like "fast"')]
Currency = Annotated[str, Words(r"[A-Z][A-Z0-9]{1,9}", 'a currency in capitals, like "USD", "USDT" or "KRW"')]
ObjectName = Annotated[
    str,
    Words(
        r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?",
        'at most 52 lower-case letters, digits and "-", like "ema-cross"',
    ),
]

if TYPE_CHECKING:
    VenueName = str
else:  # the choices are the folders under venues
    VenueName = Literal[NAMES]


class Block(BaseModel):
    """A frozen part of a manifest; unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    ignored: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def yaml_names(cls) -> dict[str, str]:
        """Python names of the fields by the names a manifest uses."""
        return {str(field.validation_alias): name for name, field in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _drop_nothing(cls, value: Any) -> Any:
        """A known field with no value ("fees:") counts as left out, as it does for ``kubectl apply``."""
        if not isinstance(value, Mapping):
            return value
        known = cls.yaml_names()
        return {k: v for k, v in value.items() if k not in cls.ignored and (v is not None or k not in known)}

    def problems(self) -> Iterator[Problem]:
        """What is wrong across the fields: where (from this block), and what would be right."""
        yield from ()

    @model_validator(mode="after")
    def _cross_check(self) -> Block:
        if found := tuple(self.problems()):
            text = "; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in found)
            raise PydanticCustomError("cross", "{text}", {"text": text, "found": found})
        return self


class StrategyRef(Block):
    """Which strategy runs, and with which parameters."""

    file: FilePath | None = None
    """Python file that holds the strategy class; a relative path starts at the manifest's folder."""
    code: (
        Annotated[str, Words(r"(?s).{1,200000}", "Python source text of at most 200,000 characters")] | None
    ) = None
    """The Python source itself, in place of a file."""
    class_name: ClassName | None = Field(default=None, validation_alias="class", serialization_alias="class")
    """Name of the strategy class. May be left out when the file defines exactly one."""
    params: dict[ParamName, ParamValue] = Field({}, max_length=64)
    """Values for the parameters the class declares with param(); what is not given keeps its default."""

    def problems(self) -> Iterator[Problem]:
        """One of file and code."""
        if self.file is None and self.code is None:
            yield ("file",), "is missing: name the Python file of the strategy, or give its source in 'code'"
        if self.file is not None and self.code is not None:
            yield ("code",), "leave it out or leave 'file' out: the strategy comes from one of them"


class PriceBand(Block):
    """From this price upwards, prices move in these steps."""

    start: Amount = Field(..., validation_alias="from", serialization_alias="from")
    """Lowest price of the band."""
    tick: Step
    """Price step inside the band."""


class Fees(Block):
    """What the venue takes for a fill. Fractions: "0.001" is 0.1 %."""

    taker: SmallFraction = Decimal("0")
    """Fraction of the value of a fill that takes liquidity."""
    maker: Rebate | None = None
    """Fraction of the value of a fill that rested, negative for a rebate. Left out: the taker's."""
    per_unit: Amount = Decimal("0")
    """Money for each unit bought or sold, as brokers of shares ask."""
    minimum: Amount = Decimal("0")
    """Least money an order pays."""
    fixed: Amount = Decimal("0")
    """Money each order pays besides the rest."""


class Market(Block):
    """One symbol and the rules of its venue. What is left out comes from ``rules``, or is off."""

    symbol: Symbol
    """Name of the symbol, as the data and the venue write it."""
    rules: VenueName | None = None
    """Take price steps, minimums and fees of this venue. Fields given here come before it."""
    tick_size: Step | None = None
    """Price step. Left out, without rules: no grid, prices are used as they are (indices)."""
    price_bands: Annotated[tuple[PriceBand, ...], Field(max_length=MAX_BANDS)] = ()
    """Price steps that depend on the price, in place of tickSize."""
    lot_size: Step | None = None
    """Quantity step: "1" for shares. Left out: the venue's, or "0.00000001"."""
    min_quantity: Amount | None = None
    """Least quantity of an order. Left out: one lot."""
    min_notional: Amount | None = None
    """Least value of an order. Left out: the venue's, or none."""
    fees: Fees | None = None
    """Left out: the venue's, or 0.1 % of every fill."""
    data: FilePath | None = None
    """File with this symbol's data, when it is not in spec.data.path."""

    def problems(self) -> Iterator[Problem]:
        """One kind of price grid, bands in order, and presets only where they know the market."""
        if self.tick_size is not None and self.price_bands:
            yield ("priceBands",), "leave it out or leave 'tickSize' out: a market has one price grid"
        if self.price_bands and self.price_bands[0].start != 0:
            first = fixed_point(self.price_bands[0].start)
            yield ("priceBands", 0, "from"), f'the first band must start at "0", got "{first}"'
        for i in range(1, len(self.price_bands)):
            low, high = self.price_bands[i - 1].start, self.price_bands[i].start
            if high <= low:
                text = f'bands must rise: it must be above "{fixed_point(low)}", got "{fixed_point(high)}"'
                yield ("priceBands", i, "from"), text
        if self.rules is not None:
            yield from self._preset_problems(VENUES[self.rules].preset)

    def _preset_problems(self, preset: Preset) -> Iterator[Problem]:
        gridless = self.tick_size is None and not self.price_bands
        absent = {"tickSize": gridless, "lotSize": self.lot_size is None}
        for name, why in preset.missing.items():
            if absent[name]:
                yield (name,), f"is missing: {why}"
        if preset.quotes and gridless and not any(quoted_in(self.symbol, quote) for quote in preset.quotes):
            text = f'{self.rules} presets know won markets only ("KRW-BTC" or "BTC/KRW"), got "{self.symbol}"'
            yield ("rules",), f"{text}; give tickSize or priceBands"


def quoted_in(symbol: str, quote: str) -> bool:
    """Whether the symbol's name says that it is quoted in this currency."""
    return symbol.startswith(f"{quote}-") or symbol.endswith((f"/{quote}", f"-{quote}", f"_{quote}"))


def _timezone(value: object) -> str:
    say = 'must be "UTC", an offset like "+09:00" or an IANA name like "Asia/Seoul"'
    if not isinstance(value, str):
        wrong(f"{say}, got {show(value)}")
    if value == "UTC" or re.fullmatch(UtcOffset.schema["pattern"], value) is not None:
        return value
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        wrong(f'{say}, got "{value}"{nearest(value, zoneinfo.available_timezones())}')
    return value


class Data(Block):
    """Where the market data come from and how to read them."""

    source: Literal["file", "catalogue", "sample", "synthetic"] = "file"
    """file: CSV or Parquet at path; catalogue: imported data; sample: daily bars of five stocks that come
    with the demo; synthetic: generated ticks."""
    path: FilePath | None = None
    """File or folder; in a catalogue or the sample, a name. Relative paths start at the manifest's folder."""
    kind: Literal["auto", "bars", "ticks", "quotes", "trades"] = "auto"
    """What a row is; auto tells it from the columns."""
    timeframe: Timeframe | None = None
    """Length of the bars in the data. Left out: told from the rows."""
    stamps: Literal["auto", "open", "close"] = "auto"
    """Whether a bar's time is its open or its close."""
    timezone: Annotated[str, Plain(_timezone, {"type": "string"})] | None = None
    """Zone of times that carry none: "UTC", an offset or an IANA name. Left out: such times are refused."""
    columns: dict[
        Annotated[str, Words(r"[A-Za-z_][A-Za-z0-9_]{0,63}", "the name of a column, like close")],
        Annotated[str, Words(r".{1,200}", "a column of the file")],
    ] = Field({}, max_length=32)
    """Our name of a column: its name in the file. Only names that are not recognised need to stand here."""
    funding: FilePath | None = None
    """File of funding rates (time, rate) for margin accounts on perpetual futures."""

    def problems(self) -> Iterator[Problem]:
        """Only bars have a timeframe."""
        if self.timeframe is not None and self.kind in ("ticks", "quotes", "trades"):
            text = f"leave it out: {self.kind} have none; bars made from them stand in spec.timeframes"
            yield ("timeframe",), text


class Period(Block):
    """The stretch of the data that is run. Left out: all of it."""

    start: Instant | None = Field(default=None, validation_alias="from", serialization_alias="from")
    """First day, or first instant with its offset."""
    end: Instant | None = Field(default=None, validation_alias="to", serialization_alias="to")
    """Last day, which is included, or the instant (with its offset) before which the run ends."""

    @property
    def start_ns(self) -> int | None:
        """First instant that is run, ns UTC."""
        return None if self.start is None else self.start.ns

    @property
    def end_ns(self) -> int | None:
        """First instant that is no longer run, ns UTC."""
        return None if self.end is None else self.end.end_ns

    def problems(self) -> Iterator[Problem]:
        """It begins before it ends."""
        if self.start_ns is not None and self.end_ns is not None and self.start_ns >= self.end_ns:
            yield ("from",), f'must be before "to" ("{self.end}"), got "{self.start}"'


class Account(Block):
    """The account the strategy trades with."""

    currency: Currency = "USD"
    """Currency that prices, fees and profit are counted in."""
    cash: PositiveAmount = Decimal("10000")
    """Money at the start."""
    type: Literal["cash", "margin"] = "cash"
    """cash: no borrowing, no short positions. margin: both, up to the leverage."""
    leverage: Annotated[Decimal, DecimalText(ge="1", le="125", example="3")] = Decimal("1")
    """Largest position value as a multiple of equity; above 1 on margin accounts only."""
    maintenance_margin: Fraction = Decimal("0.005")
    """Margin accounts are liquidated when equity falls below this fraction of the position value."""
    liquidation_fee: SmallFraction = Decimal("0.01")
    """Fraction of the closed value that a liquidation costs besides the taker fee."""
    precision: Annotated[Whole, Field(ge=0, le=12)] = 8
    """Decimals in which money is counted: amounts are whole multiples of 10^-precision."""

    def problems(self) -> Iterator[Problem]:
        """Borrowing needs margin, and the money must be countable in 64 bits."""
        if self.type == "cash" and self.leverage > 1:
            got = fixed_point(self.leverage)
            text = f'must be "1" on a cash account, got "{got}"; set "type: margin" to borrow'
            yield ("leverage",), text
        if self.maintenance_margin * self.leverage >= 1:
            most = f'below 1 / leverage ("{fixed_point(self.leverage)}")'
            yield ("maintenanceMargin",), f'must be {most}, got "{fixed_point(self.maintenance_margin)}"'
        quanta = self.cash.scaleb(self.precision)
        if quanta > LARGEST_CASH:
            fits = max(0, 17 - (self.cash.adjusted() + (self.cash != Decimal(10) ** self.cash.adjusted())))
            text = (
                f'{fixed_point(self.cash)} with "precision: {self.precision}" is too large to count exactly'
            )
            yield ("cash",), f'{text}; set "precision: {fits}" or less'
        elif quanta != quanta.to_integral_value():
            text = (
                f'has more decimals than "precision: {self.precision}" keeps, got "{fixed_point(self.cash)}"'
            )
            yield ("cash",), text


class Execution(Block):
    """How orders are assumed to fill. Each assumption is named in the report."""

    latency: Annotated[Duration, Between("0s", "1h")] = Duration("50ms")
    """Time from the decision until the venue acts on the order."""
    fill_at: Literal["next-open", "close"] = "next-open"
    """On bars: a market order given at a bar's close fills at the next bar's open, or at that same close."""
    spread: SmallFraction = Decimal("0.0002")
    """Distance between bid and ask as a fraction of the price, where the data have no quotes."""
    slippage_ticks: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """Price steps a market order or a triggered stop fills worse than the quote."""
    slippage: SmallFraction = Decimal("0")
    """The same as a fraction of the price, added to it."""
    volume_limit: Fraction = Decimal("0.1")
    """Fraction of the traded volume that a resting order may take; "0" takes off the limit."""
    market_end: Literal["keep", "close", "zero"] = "keep"
    """When a symbol's data end before those of others, in a backtest: keep the position at its last price,
    close it there, or write what is held off to zero."""
    queue: StrictBool = False
    """Resting orders wait behind the size that was displayed when they came."""


class Risk(Block):
    """Limits that every order passes before it is sent. A limit left out is off."""

    max_position: PositiveAmount | None = None
    """Largest position in units of the symbol, long or short."""
    max_notional: PositiveAmount | None = None
    """Largest value of one order."""
    max_open_orders: Annotated[Whole, Field(ge=1, le=128)] = 100
    """Most orders open at one time."""
    max_orders_per_minute: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Most orders sent within one minute."""
    max_daily_loss: PositiveAmount | None = None
    """Loss since the start of the day after which only orders that reduce a position pass."""
    max_drawdown: Fraction | None = None
    """Fall of equity from its peak, as a fraction, after which only orders that reduce a position pass."""
    price_collar: Fraction | None = None
    """Farthest an order's price may lie from the quote, as a fraction."""
    stale_after: Annotated[Duration, Between("100ms", "30d")] | None = None
    """Orders are refused when the last quote is older."""
    day_start: UtcOffset = UtcOffset("+00:00")
    """Offset from UTC whose midnight begins the day of maxDailyLoss."""


def _sampling(value: object) -> str:
    return "auto" if value == "auto" else Between("1s", "366d").check(value)


class Report(Block):
    """What the report shows."""

    html: FilePath | None = None
    """Write a self-contained HTML report to this file."""
    annualisation: Annotated[Whole, Field(ge=1, le=366)] = 365
    """Trading days in a year: 365 for crypto, 252 for exchanges that close at weekends."""
    risk_free_rate: Annotated[Decimal, DecimalText(ge="-0.1", le="1", example="0.03")] = Decimal("0")
    """Yearly return of riskless money, as a fraction, that Sharpe and its kin subtract."""
    sampling: Annotated[str, Plain(_sampling, {"type": "string"})] = "auto"
    """How often equity is sampled: auto, or a duration."""
