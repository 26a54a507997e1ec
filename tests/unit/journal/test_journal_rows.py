"""Records become rows and come back as they were, without a database."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.journal import rows
from sigma_bot.journal.statements import positional, statements_for
from sigma_bot.model.orders import TRANSITIONS, FillRow, InputRow, NoticeRow, OrderRow, Usage
from sigma_bot.schema import tables

FORMS = {
    rows.ORDERS: OrderRow,
    rows.FILLS: FillRow,
    rows.INPUTS: InputRow,
    rows.NOTICES: NoticeRow,
    rows.USAGE: Usage,
}
RECORDS = st.sampled_from(list(FORMS)).flatmap(
    lambda form: st.tuples(st.just(form), st.builds(form.record, **overrides(form)))  # type: ignore[arg-type, attr-defined]
)


def overrides(form: rows.TableMapping[Any]) -> dict[str, Any]:
    """Values that a record may hold, by the type of its field."""
    money = st.decimals(allow_nan=False, allow_infinity=False)
    words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
    kinds = {
        "Decimal": money,
        "Decimal | None": st.none() | money,
        "str": words,
        "str | None": st.none() | words,
        "dict[str, object]": st.dictionaries(
            st.text(), money | st.text() | st.integers() | st.floats(allow_nan=False)
        ),
    }
    listed = zip(form.names, form.annotations, strict=True)
    return {name: kinds[annotation] for name, annotation in listed if annotation in kinds}


@given(RECORDS, st.booleans())
def test_a_record_comes_back(given: tuple[Any, Any], sqlite: bool) -> None:
    form, record = given
    [row] = form.rows([record], sqlite)
    assert form.records([row]) == [record]
    assert form.records([[*row, "bot", 1]]) == [record], "what follows is not of the record"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.table)
def test_a_table_has_every_field_of_its_record(form: rows.TableMapping[Any]) -> None:
    assert form.names == tuple(field.name for field in fields(FORMS[form]))
    assert set(form.names) <= set(tables.metadata.tables[form.table].columns.keys())


@pytest.mark.parametrize(
    ("wrong", "error"), [(0.5, TypeError), (1, TypeError), (Decimal("sNaN"), ValueError)]
)
@pytest.mark.parametrize("sqlite", [True, False])
def test_money_is_a_finite_decimal(wrong: Any, error: type[Exception], sqlite: bool) -> None:
    used = Usage(wrong, 1, 2, Decimal(0), 3, 4)
    with pytest.raises(error, match="the journal takes a"):
        rows.USAGE.rows([used], sqlite)


def test_a_decimal_keeps_its_digits_as_text() -> None:
    used = Usage(Decimal("1E+3"), 1, 2, Decimal("0.00000000010"), 3, 4)
    assert rows.USAGE.rows([used], True) == [["1000", 1, 2, "0.00000000010", 3, 4]]


def test_text_that_a_database_refuses_is_replaced() -> None:
    assert rows.text("a\x00b\ud800") == "a\ufffdb?"
    assert rows.text("원화 ₩") == "원화 ₩"
    assert rows.text(None) is None


def test_parameters_are_numbered_for_postgresql() -> None:
    assert positional("a = ? AND b = ?", sqlite=False) == "a = $1 AND b = $2"
    assert positional("a = ?", sqlite=True) == "a = ?"


@pytest.mark.parametrize("sqlite", [True, False])
def test_the_statement_knows_every_transition(sqlite: bool) -> None:
    for old, following in TRANSITIONS.items():
        for new in TRANSITIONS:
            assert (f"'{old}>{new}'" in statements_for(sqlite).orders) == (new in following)
