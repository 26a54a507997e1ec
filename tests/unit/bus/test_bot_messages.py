"""What a bot tells comes back as it was, also what a bot of the version before told."""

from __future__ import annotations

from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.model.messages import BotMessage, decode_bot_message
from sigma_bot.model.orders import FORMER_STATES, FillRow, NoticeRow, OrderRow, State

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=8)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": WORDS,
    "str | None": st.none() | WORDS,
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "Decimal": MONEY,
    "Decimal | None": st.none() | MONEY,
    "State": st.sampled_from(State),
}


def bodies(of: Any, **narrowed: Any) -> st.SearchStrategy[Any]:
    """Bodies of a kind, of any values that its fields may hold."""
    return st.builds(of, **{field.name: VALUES[str(field.type)] for field in fields(of)} | narrowed)


KINDS = st.sampled_from(["rejection", "alert", "state"])
BODIES = st.one_of(bodies(OrderRow), bodies(FillRow), bodies(NoticeRow, kind=KINDS))


def order(**changes: Any) -> OrderRow:
    money = Decimal("0.10")
    row = OrderRow(
        "sx-1", 1, 2, "KRW-BTC", "buy", "limit", "gtc", money, money, None, False, False, State.OPEN, 1, 2
    )
    for name, value in changes.items():
        setattr(row, name, value)
    return row


@given(BODIES, st.integers(1, 2**40))
def test_a_message_comes_back(body: Any, commit: int) -> None:
    sent = BotMessage("desk/ema", commit, body)
    back = decode_bot_message(sent.encode())
    assert back == sent
    assert back.kind == sent.kind


def test_every_digit_of_a_decimal_comes_back() -> None:
    back = decode_bot_message(BotMessage("ema", 1, order(quantity=Decimal("0.1000"))).encode())
    assert isinstance(back.body, OrderRow)
    assert str(back.body.quantity) == "0.1000"


@pytest.mark.parametrize(("former", "now"), FORMER_STATES.items())
def test_what_the_version_before_told_is_read(former: str, now: str) -> None:
    values = {n: f"{v:f}" if isinstance(v, Decimal) else v for n, v in asdict(order()).items()}
    values = {{"attempt": "leg", "order_type": "kind"}.get(n, n): v for n, v in values.items()}
    payload = msgpack.packb((1, "ema", 7, "order", {**values, "state": former}))
    assert decode_bot_message(payload) == BotMessage("ema", 7, order(state=State(now)))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("quantity", 1.5),
        ("quantity", "many"),
        ("state", "lost"),
        ("attempt", "1"),
        ("attempt", True),
        ("more", 1),
    ],
)
def test_a_body_of_another_shape_is_refused(name: str, wrong: object) -> None:
    version, bot, commit, kind, values = msgpack.unpackb(BotMessage("ema", 1, order()).encode())
    with pytest.raises(ValueError, match="not a bot message"):
        decode_bot_message(msgpack.packb((version, bot, commit, kind, {**values, name: wrong})))


def test_another_version_or_kind_is_refused() -> None:
    version, bot, commit, kind, values = msgpack.unpackb(BotMessage("ema", 1, order()).encode())
    for wrong in ((3, bot, commit, kind, values), (version, bot, commit, "pulse", values)):
        with pytest.raises(ValueError, match="not a bot message"):
            decode_bot_message(msgpack.packb(wrong))
