"""Traders on the emulator in the cluster, and what must hold of their orders whatever happens to the cluster.

The emulator stands for the exchange: it is the one pod that no drill touches, since its accounts would be
forgotten with it.
"""

from __future__ import annotations

import json
import subprocess
import time
from decimal import Decimal
from typing import Any

import urllib3

from tests.cluster.api import ApiError, Object
from tests.cluster.namespace import RELEASE, Namespace

SYMBOL, ACCOUNT = "KRW-BTC", "main"
KEY, SECRET = "sigma-emulator-key", "sigma-emulator-secret"
ADMIN = f"api/v1/namespaces/{RELEASE}/services/sigma-x-emulator:9000/proxy/_emulator"
KEYS = "exchange-keys"
SIM, LIVE = "drill-sim", "drill-live"
# Twice a second something: take, rest, cancel, sell. So every drill meets orders in all states.
CODE = """
from sigma_bot import Strategy


class Busy(Strategy):
    beat: int = 0

    def on_tick(self, tick, broker):
        self.beat += 1
        turn = self.beat % 20
        if turn == 5:
            broker.buy(4, limit=tick.bid * 0.98)
        elif turn == 10:
            broker.buy(4)
        elif turn == 15:
            broker.cancel_all()
        elif turn == 0:
            broker.close()
"""
SECOND = 1_000_000_000


def trader(name: str, mode: str, **spec: Any) -> Object:
    """A Strategy that trades all the time. The LIVE one has the exchange's account `main` to itself."""
    account: Object = {"venue": "upbit", "name": name, "currency": "KRW", "cash": "10000000"}
    if mode == "live":
        confirm = {"account": ACCOUNT, "maxLoss": "1000000"}
        account |= {"name": ACCOUNT, "secretRef": {"name": KEYS}, "confirm": confirm}
    limits = {"maxPosition": "100", "maxNotional": "1000000", "maxDailyLoss": "1000000", "staleAfter": "5s"}
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": name},
        "spec": {
            "mode": mode,
            "strategy": {"code": CODE},
            "markets": [{"symbol": SYMBOL, "rules": "upbit"}],
            "account": account,
            "risk": limits,
            **spec,
        },
    }


def keys(key: str, secret: str) -> Object:
    """The Secret that the LIVE trader's manifest names."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": KEYS},
        "stringData": {"apiKey": key, "secret": secret},
    }


# --- the exchange and the journal ---------------------------------------------------------------------------


def account(namespace: Namespace) -> Object:
    """What the exchange knows of the LIVE trader's account: orders, fills, balances."""
    found: Object = namespace.api.request("GET", f"{ADMIN}/accounts/{ACCOUNT}")
    return found


def configure(namespace: Namespace, path: str, **body: Any) -> None:
    """Set something at the exchange."""
    namespace.api.request("POST", f"{ADMIN}/{path}", body)


def journal(namespace: Namespace, name: str) -> Object:
    """Orders and fills of a bot as the journal has them."""
    rows = "coalesce(json_agg(x), '[]') FROM {} x JOIN bots b ON b.id = x.bot WHERE b.name = '{}/{}'"
    parts = (
        f"'{table}', (SELECT {rows.format(table, namespace.name, name)})" for table in ("orders", "fills")
    )
    query = f"SELECT json_build_object({', '.join(parts)})"
    command = ("psql", "-XAtq", "-c", query, "postgresql://postgres@/sigma?host=/run/postgresql")
    output = namespace.kubectl("exec", "-n", RELEASE, "sigma-x-postgres-0", "-c", "postgres", "--", *command)
    found: Object = json.loads(output, parse_float=Decimal)
    return found


def parity(namespace: Namespace) -> str:
    """What `kubectl sigma parity` says of the SIM trader. What the bot saw last may not be recorded yet."""
    refusals = [""]

    def answer() -> str:
        try:
            return namespace.sigma("parity", SIM)
        except subprocess.CalledProcessError as problem:
            refusals.append(problem.stderr)
            return ""

    return namespace.wait_until(answer, lambda: refusals[-1])


# --- what must hold -----------------------------------------------------------------------------------------


def agrees(status: str, executed: Decimal, state: str) -> bool:
    """Whether the journal's word for an order says what the exchange's does."""
    if status == "open":
        return state == ("partial" if executed else "open")
    if status == "filled":
        return state == "filled"
    return state in ("cancelled", "expired") or (bool(executed) and state == "filled")


def executions(fills: list[Object], order: str, of: dict[Any, str]) -> dict[str, list[tuple[Decimal, ...]]]:
    """Price, quantity and fee of every fill, by the client id of its order."""
    out: dict[str, list[tuple[Decimal, ...]]] = {}
    for fill in fills:
        money = tuple(Decimal(fill[name]) for name in ("price", "quantity", "fee"))
        out.setdefault(of.get(fill[order], str(fill[order])), []).append(money)
    return {client_id: sorted(money) for client_id, money in out.items()}


def disagreement(namespace: Namespace, until: int) -> str:
    """Where journal and exchange differ about the LIVE trader's orders up to a time (ns); empty: nowhere.
    The exchange is asked last, so that it knows whatever the journal says has happened."""
    written = journal(namespace, LIVE)
    there = account(namespace)
    rows = {row["client_id"]: row for row in written["orders"]}
    sent = [order["client_id"] for order in there["orders"]]
    twice = sorted({one for one in sent if sent.count(one) > 1})
    if twice:
        return f"sent twice: {twice}"
    orders = {order["client_id"]: order for order in there["orders"]}
    old = {name for name, order in orders.items() if order["created"] <= until}
    lost = sorted(old - rows.keys())
    if lost:
        return f"at the exchange and not in the journal: {lost}"
    for client_id, row in rows.items():
        if row["created"] > until:
            continue
        order = orders.get(client_id)
        if order is None and row["state"] not in ("rejected", "not_found"):
            return f"{client_id} is {row['state']} in the journal, the exchange never had it"
        if order is not None and not agrees(order["status"], Decimal(order["executed"]), row["state"]):
            return f"{client_id} is {row['state']} in the journal, {order['status']} at the exchange"
    tokens = [row["token"] for row in sorted(rows.values(), key=lambda row: row["created"])]
    if tokens != sorted(tokens):
        return f"two traders by turns, as the tokens of their leases tell: {tokens}"
    numbers = {order["number"]: order["client_id"] for order in there["orders"]}
    theirs = executions(there["fills"], "order", numbers)
    ours = executions(written["fills"], "client_id", {})
    wrong = [c for c in sorted(old | rows.keys()) if c in old and ours.get(c) != theirs.get(c)]
    return f"fills of {wrong}: {[(ours.get(c), theirs.get(c)) for c in wrong]}" if wrong else ""


def inconsistency(namespace: Namespace) -> str:
    """What is wrong with the SIM trader's orders by themselves; empty: nothing."""
    written = journal(namespace, SIM)
    fills = executions(written["fills"], "client_id", {})
    rows = {row["client_id"]: row for row in written["orders"]}
    if len(rows) != len(written["orders"]):
        return "a client id is there twice"
    if strange := sorted(fills.keys() - rows.keys()):
        return f"fills without an order: {strange}"
    for client_id, row in rows.items():
        filled = sum((money[1] for money in fills.get(client_id, [])), Decimal(0))
        if filled != Decimal(row["filled"]) or filled > Decimal(row["quantity"]):
            return f"{client_id}: {row['filled']} of {row['quantity']} filled, the fills make {filled}"
        if (row["state"] == "filled") is not (filled == Decimal(row["quantity"])):
            return f"{client_id} is {row['state']} with {filled} of {row['quantity']} filled"
    return ""


def check_orders(namespace: Namespace) -> None:
    """No order lost, none doubled, every fill booked once. What is on its way may take a moment."""
    cut, wrong = time.time_ns(), [""]

    def agreed() -> bool:
        wrong.append(disagreement(namespace, cut))
        return not wrong[-1]

    namespace.wait_until(agreed, lambda: wrong[-1], 240)
    assert not inconsistency(namespace)


def ordered_since(namespace: Namespace, moment: int) -> bool:
    """Whether both have ordered after a time (ns), the LIVE one at the exchange."""
    try:
        live = any(order["created"] > moment for order in account(namespace)["orders"])
        return live and any(row["created"] > moment for row in journal(namespace, SIM)["orders"])
    except (subprocess.CalledProcessError, ApiError, urllib3.exceptions.HTTPError):
        return False  # what would have answered is being started again


def await_trading(namespace: Namespace, timeout: float = 240) -> float:
    """Wait until both order again and are Ready; the seconds that took."""
    began, moment = time.monotonic(), time.time_ns()

    def look() -> str:
        return namespace.kubectl("get", "strat,pods", "-o", "wide")

    namespace.wait_until(lambda: ordered_since(namespace, moment), look, timeout)
    names = (f"strat/{SIM}", f"strat/{LIVE}")
    namespace.kubectl("wait", *names, "--for=condition=Ready", f"--timeout={timeout:.0f}s")
    return time.monotonic() - began
