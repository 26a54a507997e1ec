from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sigma_bot.errors import BadInputError
from sigma_bot.spec import (
    Backtest,
    Market,
    Strategy,
    dump_manifest,
    load_manifest,
    parse_manifest,
    with_overrides,
)
from sigma_bot.spec.blocks import Block
from sigma_bot.spec.problems import _blocks

EXAMPLE = Path(__file__).parents[3] / "examples" / "ema-cross"
SHORT: dict[str, Any] = {
    "apiVersion": "sigma-x.io/v1alpha1",
    "kind": "Backtest",
    "metadata": {"name": "demo"},
    "spec": {"strategy": {"file": "a.py"}, "markets": [{"symbol": "GOOG"}], "data": {"path": "a.csv"}},
}


def blocks(model: type[Block]) -> Iterator[type[Block]]:
    yield model
    for field in model.model_fields.values():
        for inner in _blocks(field.annotation):
            yield from blocks(inner)


@pytest.mark.parametrize("kind", [Backtest, Strategy])
def test_every_field_has_a_description(kind: type[Block]) -> None:
    for block in blocks(kind):
        for name, field in block.model_fields.items():
            assert field.description, f"{block.__name__}.{name}"


@pytest.mark.parametrize("kind", [Backtest, Strategy])
def test_the_schema_is_plain_json_with_money_as_text(kind: type[Block]) -> None:
    schema = kind.model_json_schema(by_alias=True)
    text = json.dumps(schema)
    assert '"number"' not in text
    cash = schema["$defs"]["Account" if kind is Backtest else "VenueAccount"]["properties"]["cash"]
    assert cash["type"] == "string"
    assert cash["default"] == "10000"


@pytest.mark.parametrize("name", ["backtest.yaml", "strategy.yaml"])
def test_the_examples_survive_a_round_trip(name: str) -> None:
    manifest = load_manifest(EXAMPLE / name)
    stored = json.loads(json.dumps(dump_manifest(manifest)))
    assert parse_manifest(stored) == manifest
    assert dump_manifest(parse_manifest(stored)) == stored


def test_a_short_manifest_has_every_default_filled() -> None:
    dumped = dump_manifest(parse_manifest(SHORT))["spec"]
    assert dumped["account"]["cash"] == "10000"
    assert dumped["execution"]["latency"] == "50ms"
    assert dumped["report"]["annualisation"] == 365
    assert dumped["strategy"]["class"] is None


def test_an_empty_field_counts_as_left_out() -> None:
    spec = SHORT["spec"] | {"risk": None, "account": {"cash": None}}
    assert parse_manifest(SHORT | {"spec": spec}) == parse_manifest(SHORT)


def test_an_object_read_back_from_a_cluster_is_understood() -> None:
    metadata = {"name": "demo", "uid": "1-2", "resourceVersion": "7", "managedFields": [{"manager": "x"}]}
    read = parse_manifest(SHORT | {"metadata": metadata, "status": {"phase": "Done"}})
    assert read == parse_manifest(SHORT)


def test_manifests_are_frozen_and_python_names_work_in_python_only() -> None:
    assert Market(symbol="A", tick_size="0.01").tick_size == Market.model_validate(  # type: ignore[arg-type]
        {"symbol": "A", "tickSize": "0.01"}
    ).tick_size  # fmt: skip
    manifest = parse_manifest(SHORT)
    with pytest.raises(ValidationError):
        manifest.metadata.name = "other"


# ---- YAML


def read(tmp_path: Path, text: str, kind: Any = None) -> Backtest | Strategy:
    (tmp_path / "m.yaml").write_text(text)
    return load_manifest(tmp_path / "m.yaml", kind)


BODY = """\
apiVersion: sigma-x.io/v1alpha1
kind: {kind}
metadata: {{name: demo}}
spec:
  strategy: {{file: a.py, params: {params}}}
  markets: [{{symbol: KRW-BTC, rules: upbit}}]
  {rest}
"""
BACKTEST = BODY.format(kind="Backtest", params="{}", rest="data: {path: a.csv}")
STRATEGY = BODY.format(kind="Strategy", params="{}", rest="account: {venue: upbit, name: main}")


def test_yaml_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    params = "{a: 1e-3, b: 0x10, c: yes, d: 1_000, e: -5, f: 1., g: .5, h: Off, i: 0o17}"
    rest = "data: {path: a.csv}\n  period: {from: 2024-01-01, to: 2024-01-31}\n  risk: {dayStart: +10:00}"
    spec = read(tmp_path, BODY.format(kind="Backtest", params=params, rest=rest)).spec
    assert spec.strategy.params == {
        "a": 0.001, "b": 16, "c": True, "d": 1000, "e": -5, "f": 1.0, "g": 0.5, "h": False, "i": 15
    }  # fmt: skip
    assert [type(v) for v in spec.strategy.params.values()] == [
        float,
        int,
        bool,
        int,
        int,
        float,
        float,
        bool,
        int,
    ]
    assert spec.period.start == "2024-01-01"
    assert spec.risk.day_start == "+10:00"
    assert spec.period.end_ns - spec.period.start_ns == 31 * 86_400 * 10**9


def test_the_kind_chooses_among_documents(tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\ndata: 5\n"
    both = f"{BACKTEST}---\n{secret}---\n{STRATEGY}---\n"
    assert read(tmp_path, both, "Backtest").kind == "Backtest"
    assert read(tmp_path, both, "Strategy").kind == "Strategy"
    for text, kind, says in (
        (both, None, "holds a Backtest (line 1) and a Strategy (line 13); give a file with one of them"),
        (STRATEGY, "Backtest", "holds a Strategy (line 1); kind: Backtest is needed here"),
        (f"{secret}---\n{secret}", "Backtest", "holds other objects only; kind: Backtest is needed here"),
        (secret, None, 'm.yaml:2: kind: must be "Backtest" or "Strategy", got "Secret"'),
        (f"{BACKTEST}---\n{BACKTEST}", "Backtest", "give a file with one of them"),
    ):
        with pytest.raises(BadInputError) as caught:
            read(tmp_path, text, kind)
        assert says in str(caught.value)


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"\xef\xbb\xbf" + BACKTEST.replace("\n", "\r\n").encode())
    assert load_manifest(tmp_path / "m.yaml").metadata.name == "demo"


# ---- values of the command line


def test_overrides_take_the_place_of_the_manifests_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = load_manifest(EXAMPLE / "backtest.yaml", "Backtest")
    changed = with_overrides(
        manifest, params={"fast": 8}, period_from="2005-01-01", period_to="2006-01-01", data_path="own.csv"
    )
    assert changed.spec.strategy.params == {"fast": 8, "slow": 26}
    assert (changed.spec.period.start, changed.spec.period.end) == ("2005-01-01", "2006-01-01")
    assert changed.spec.data.source == "file"
    assert changed.spec.data.path == str(tmp_path / "own.csv")
    assert with_overrides(manifest) == manifest


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"period_from": "yesterday"}, "--from: must be a date"),
        ({"period_to": "2024-01-01T00:00"}, "--to: must say its offset"),
        ({"period_from": "2024-02-01", "period_to": "2024-01-01"}, '--from: must be before "to"'),
    ],
)
def test_a_bad_override_names_its_option(options: dict[str, str], says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        with_overrides(load_manifest(EXAMPLE / "backtest.yaml", "Backtest"), **options)  # type: ignore[arg-type]
    assert says in str(caught.value)
