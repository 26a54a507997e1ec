"""The admin interface under /_emulator/: what a test in another process sees and sets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from aiohttp import web

from sigma_bot.decimals import trimmed
from sigma_bot.emulator.accounts import Account, Key
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.faults import Fault, FaultScript
from sigma_bot.emulator.model import DeniedError, Fill, Order, Side
from sigma_bot.emulator.player import Player
from sigma_bot.emulator.protocol import VenueProtocol
from sigma_bot.emulator.wire import dump
from sigma_bot.errors import BadInputError

WAIT = 30.0
Body = dict[str, Any]
Handler = Callable[[list[str], Body], Awaitable[Any]]


class Emulator(Protocol):
    """What can be steered from outside."""

    venue: str
    exchange: Exchange
    player: Player | None
    protocol: VenueProtocol

    @property
    def faults(self) -> FaultScript:
        """What is to go wrong."""

    def cut_sockets(self) -> None:
        """Break every WebSocket."""


class Admin:
    """Paths below /_emulator/: state, accounts, markets, faults, player, clock, sockets. JSON in and out;
    numbers as strings."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "state"): self._state,
            ("GET", "accounts"): self._account,
            ("POST", "accounts"): self._add_account,
            ("POST", "deposit"): self._deposit,
            ("POST", "fees"): self._fees,
            ("POST", "markets"): self._market,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "player"): self._player,
            ("POST", "clock"): self._clock,
            ("DELETE", "sockets"): self._cut,
        }

    async def handle(self, http: web.Request) -> web.Response:
        """Answer one request; what is wrong with it comes back as 400 with ``error``."""
        parts = http.path.split("/")[2:]
        handler = self._handlers.get((http.method, parts[0]))
        if handler is None:
            return _json({"error": f"there is no {http.method} {http.path}"}, 404)
        try:
            text = await http.text()
            body = json.loads(text) if text else dict(http.query)
            if not isinstance(body, dict):
                raise BadInputError("the body is not a JSON object")
            return _json(await handler([p for p in parts[1:] if p], body))
        except (BadInputError, DeniedError, ValueError, KeyError, InvalidOperation) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)

    async def _state(self, path: list[str], body: Body) -> Any:
        del path, body
        exchange, player = self.emulator.exchange, self.emulator.player
        return {
            "venue": self.emulator.venue,
            "now": exchange.now(),
            "skew_ms": exchange.skew_ns // 1_000_000,
            "accounts": list(exchange.accounts),
            "markets": {
                s: {"status": m.status, "bid": _level(m.best("buy")), "ask": _level(m.best("sell"))}
                for s, m in exchange.markets.items()
            },
            "sockets": len(self.emulator.protocol.streams.hub.sockets),
            "faults": [_fault(f) for f in self.emulator.faults.faults],
            "player": player.state() if player else None,
        }

    async def _account(self, path: list[str], body: Body) -> Any:
        del body
        return describe(self._named(path))

    def _named(self, path: list[str]) -> Account:
        name = path[0] if path else "main"
        account = self.emulator.exchange.accounts.get(name)
        if account is None:
            raise BadInputError(f"there is no account {name!r}")
        return account

    async def _add_account(self, path: list[str], body: Body) -> Any:
        """{name, balances, key, secret, trade, withdraw, expired, address}; without balances only the key is
        added."""
        del path
        exchange, name = self.emulator.exchange, body["name"]
        key = Key(
            body.get("key", f"{name}-key"), body.get("secret", f"{name}-secret"), name,
            bool(body.get("trade", True)), bool(body.get("withdraw", False)),
            bool(body.get("expired", False)), body.get("address"),
        )  # fmt: skip
        if name not in exchange.accounts or "balances" in body:
            exchange.add_account(name, {c: Decimal(v) for c, v in body.get("balances", {}).items()})
        exchange.keys[key.key] = key
        return {"key": key.key, "secret": key.secret}

    async def _deposit(self, path: list[str], body: Body) -> Any:
        """/deposit/ACCOUNT {currency, amount}; a negative amount takes money out."""
        account = self._named(path)
        self.emulator.exchange.pay_in(account.name, body["currency"], Decimal(body["amount"]))
        return describe(account)["balances"]

    async def _fees(self, path: list[str], body: Body) -> Any:
        """/fees/ACCOUNT {currency, price}: it pays its fees in that currency, worth so much quote money."""
        account = self._named(path)
        account.fee_currency, account.fee_price = body["currency"], Decimal(body.get("price", "1"))
        return {}

    async def _market(self, path: list[str], body: Body) -> Any:
        """/markets/SYMBOL {status, bids, asks, trade: {price, size, taker}}, each if it is to change."""
        exchange, symbol = self.emulator.exchange, path[0]
        if "status" in body:
            if body["status"] not in ("trading", "suspended", "delisted"):
                raise BadInputError(f"status is {body['status']!r}; trading, suspended or delisted")
            exchange.markets[symbol].status = body["status"]
        if "bids" in body or "asks" in body:
            exchange.set_book(symbol, _levels(body.get("bids", [])), _levels(body.get("asks", [])))
        if "trade" in body:
            trade = body["trade"]
            taker: Side = "buy" if trade.get("taker", "buy") == "buy" else "sell"
            exchange.trade(symbol, Decimal(trade["price"]), Decimal(trade["size"]), taker)
        return {}

    async def _faults(self, path: list[str], body: Body) -> Any:
        """All faults; /faults/NUMBER waits until that one is met, at most ``timeout`` seconds."""
        if not path:
            return [_fault(f) for f in self.emulator.faults.faults]
        fault = self.emulator.faults.find(int(path[0]))
        try:
            await asyncio.wait_for(fault.reached.wait(), float(body.get("timeout", WAIT)))
        except TimeoutError as error:
            raise BadInputError(f"fault {fault.number} was not met in time") from error
        return _fault(fault)

    async def _add_fault(self, path: list[str], body: Body) -> Any:
        """{on, action, ...} adds a fault; /faults/NUMBER/release lets go what one holds. ``body64`` is a body
        of bytes."""
        if path:
            fault = self.emulator.faults.find(int(path[0]))
            fault.release()
            return _fault(fault)
        options = dict(body)
        if "body64" in options:
            options["body"] = base64.b64decode(options.pop("body64"))
        known = {"when", "skip", "times", "seconds", "status", "body", "headers"}
        strange = set(options) - known - {"on", "action"}
        if strange:
            raise BadInputError(
                f"a fault has no {', '.join(sorted(strange))}; it has {', '.join(sorted(known))}"
            )
        return _fault(self.emulator.faults.add(options.pop("on"), options.pop("action"), **options))

    async def _clear_faults(self, path: list[str], body: Body) -> Any:
        del path, body
        self.emulator.faults.clear()
        return {}

    async def _player(self, path: list[str], body: Body) -> Any:
        """{paused, speed, seek}, each if it is to change."""
        del path
        player = self.emulator.player
        if player is None:
            raise BadInputError("this emulator replays nothing")
        player.control(body.get("paused"), body.get("speed"), body.get("seek"))
        return player.state()

    async def _clock(self, path: list[str], body: Body) -> Any:
        """{skew_ms}: how far the exchange's clock is ahead of this machine's."""
        del path
        self.emulator.exchange.skew_ns = int(body["skew_ms"]) * 1_000_000
        return {"now": self.emulator.exchange.now()}

    async def _cut(self, path: list[str], body: Body) -> Any:
        del path, body
        self.emulator.cut_sockets()
        return {}


def describe(account: Account) -> dict[str, Any]:
    """An account with everything in it: what a test compares a ledger with."""
    return {
        "name": account.name,
        "opening": {c: trimmed(v) for c, v in account.opening.items()},
        "balances": {
            c: {"free": trimmed(h.free), "locked": trimmed(h.locked)} for c, h in account.holdings.items()
        },
        "orders": [_order(o) for o in account.orders],
        "fills": [_fill(f) for f in account.fills()],
    }


def _order(order: Order) -> dict[str, Any]:
    t = order.ticket
    return {
        "number": order.number,
        "client_id": t.client_id,
        "symbol": t.symbol,
        "side": t.side,
        "kind": t.kind,
        "status": order.status.value,
        "quantity": None if t.quantity is None else trimmed(t.quantity),
        "funds": None if t.funds is None else trimmed(t.funds),
        "limit": None if t.limit is None else trimmed(t.limit),
        "executed": trimmed(order.executed),
        "created": order.created,
    }


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "number": fill.number,
        "order": fill.order,
        "symbol": fill.symbol,
        "side": fill.side,
        "price": trimmed(fill.price),
        "quantity": trimmed(fill.quantity),
        "fee": trimmed(fill.fee),
        "fee_currency": fill.fee_currency,
        "maker": fill.maker,
        "ts": fill.ts,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"number": fault.number, "on": fault.on, "action": fault.action, "hits": fault.hits}


def _level(level: tuple[Decimal, Decimal] | None) -> list[str] | None:
    return [trimmed(v) for v in level] if level else None


def _levels(rows: list[list[str]]) -> dict[Decimal, Decimal]:
    return {Decimal(price): Decimal(size) for price, size in rows}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, text=dump(value), content_type="application/json")
