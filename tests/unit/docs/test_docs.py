"""What the documents show is run, loaded and parsed; what they list is complete."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.backtest.tester import run_backtest
from sigma_bot.cli.main import COMMANDS, run
from sigma_bot.engine import types
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.loops import bar_loop, tick_loop
from sigma_bot.errors import BadInputError, SigmaError, StrategyError
from sigma_bot.kernel.jit import refusals_of
from sigma_bot.model.orders import TRANSITIONS, State
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.spec import blocks, load_manifest, parse_manifest
from sigma_bot.spec.manifest import Backtest
from sigma_bot.trading.service import LEASE_HELD
from tests.support import ROOT
from tests.unit.docs.pages import BLOCKS, FENCED, PAGES, blocks_of, inline_code, name_of, rows_of, text_of

EXAMPLE = ROOT / "examples" / "ema-cross" / "backtest.yaml"
SOURCES = ("bot", "operator", "tests", "docs", "requirements", "charts", "images", "crds")
PATH = re.compile(r"[a-z_.-]+(/[a-z_.-]+)*/([a-z_-]+\.(py|md|js|lock))?")
LANGUAGES = ("json", "python", "sh", "sql", "text", "yaml")


def fenced(language: str) -> list[Any]:
    """Every block of a language, named by its file and line."""
    return [pytest.param(block.text, id=block.where) for block in BLOCKS if block.language == language]


STRATEGIES = [p for p in fenced("python") if "(Strategy)" in p.values[0]]
PROGRAMS = [p for p in fenced("python") if "(Strategy)" not in p.values[0]]
MANIFESTS = fenced("yaml")


def manifest(code: str) -> Backtest:
    """A generated market that suits a strategy: ticks where it takes them, two symbols where it names
    them."""
    ticks = "def on_tick" in code
    symbols = ("AAA", "BBB") if "symbol" in code else ("AAA",)
    step = {"tickSize": "0.01", "lotSize": "0.001", "fees": {"taker": "0.0001"}}
    read = parse_manifest(
        {
            "apiVersion": "sigma-x.io/v1alpha1",
            "kind": "Backtest",
            "metadata": {"name": "shown"},
            "spec": {
                "strategy": {"code": code},
                "markets": [{"symbol": s, **step} for s in symbols],
                "data": {"source": "synthetic", "kind": "ticks" if ticks else "bars"},
                "period": {"from": "2024-01-01", "to": "2024-01-01T00:20:00Z" if ticks else "2024-01-04"},
                "timeframes": ["1m", "5m", "1h"] if "timeframe" in code else ["1m"],
                "account": {"type": "margin", "leverage": "3", "cash": "100000"},
            },
        }
    )
    assert isinstance(read, Backtest)
    return read


@pytest.mark.parametrize("code", STRATEGIES)
def test_a_strategy_runs_and_trades(code: str) -> None:
    result = run_backtest(manifest(code), ROOT, "interpreted")
    assert result.counts["fills"] > 0
    assert result.counts["liquidations"] == 0


@pytest.mark.parametrize("code", STRATEGIES)
def test_a_strategy_is_inside_the_compiled_subset_unless_it_says_otherwise(code: str) -> None:
    read = manifest(code)
    cls = load_strategy(read.spec.strategy, ROOT).cls
    ticks = read.spec.data.kind == "ticks"
    structs = (Broker, types.Tick if ticks else types.Bar, cls)
    found = refusals_of(tick_loop if ticks else bar_loop, structs)
    assert bool(found) is ("Runs interpreted" in code), found


@pytest.mark.parametrize("text", MANIFESTS)
def test_a_manifest_loads(text: str, tmp_path: Path) -> None:
    """A block without apiVersion is a piece of a Backtest's spec."""
    if "apiVersion" not in text:
        base = {"strategy": "{file: x.py}", "markets": "[{symbol: X}]", "data": "{source: sample}"}
        lines = [f"{name}: {value}" for name, value in base.items() if f"\n{name}:" not in f"\n{text}"]
        spec = "".join(f"  {line}\n" for line in [*lines, *text.splitlines()])
        head = "apiVersion: sigma-x.io/v1alpha1\nkind: Backtest\nmetadata: {name: shown}\nspec:\n"
        text = head + spec
    path = tmp_path / "manifest.yaml"
    path.write_text(text, "utf-8")
    load_manifest(path)


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_runs(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, from the repository; of one that leaves something out (`...`) only the imports."""
    monkeypatch.chdir(ROOT)
    tree = ast.parse(text)
    if "..." in text:
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert tree.body
    exec(compile(tree, "shown", "exec"), {"__name__": "shown"})


def test_every_block_says_what_it_is() -> None:
    assert [block.where for block in BLOCKS if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("text", fenced("json"))
def test_json_is_json(text: str) -> None:
    json.loads(text)


def test_the_readme_shows_the_example_as_it_is() -> None:
    """The class for itself, and dots in its place in the manifest."""
    blocks = {block.language: block.text for block in blocks_of(ROOT / "README.md")}
    code = load_manifest(EXAMPLE).spec.strategy.code
    assert code is not None
    assert blocks["python"] == code
    held = "".join(f"      {line}" if line.strip() else line for line in code.splitlines(keepends=True))
    assert blocks["yaml"] == EXAMPLE.read_text("utf-8").replace(held, "      ...\n")


def test_both_examples_hold_the_same_strategy() -> None:
    other = load_manifest(EXAMPLE.with_name("strategy.yaml"))
    assert other.spec.strategy == load_manifest(EXAMPLE).spec.strategy


@pytest.mark.parametrize("name", ["backtest.yaml", "strategy.yaml"])
def test_an_example_says_the_commands_that_run_it(name: str) -> None:
    text = EXAMPLE.with_name(name).read_text("utf-8")
    assert f" kubectl apply -f examples/ema-cross/{name}\n" in text
    assert re.search(rf"sigma (backtest|run) examples/ema-cross/{name}\n", text)


def test_the_readme_shows_the_summary_as_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", str(EXAMPLE), "--no-store", "--engine", "interpreted"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    [shown] = [block.text for block in blocks_of(ROOT / "README.md") if "Buy and hold" in block.text]
    assert [line for line in shown.splitlines() if line not in printed] == []


def test_both_readmes_show_the_same() -> None:
    english, korean = (blocks_of(ROOT / name) for name in ("README.md", "README.ko.md"))
    assert [block.language for block in english] == [block.language for block in korean]
    for one, other in zip(english, korean, strict=True):
        if one.language == "sh":  # comments are translated
            assert [shlex.split(line, comments=True) for line in one.text.splitlines()] == [
                shlex.split(line, comments=True) for line in other.text.splitlines()
            ]
        else:
            assert one.text == other.text


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCED.sub("", path.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(path: Path) -> set[str]:
    """Of headings, and of the docstrings that the site puts in for `::: module.name`."""
    text = FENCED.sub("", path.read_text("utf-8"))
    shown = re.findall(r"^::: ([\w.]+)$", text, re.M)
    members = {
        f"{name}.{member}"
        for name in shown
        for member in dir(pkgutil.resolve_name(name.replace(":", ".")))
        if not member.startswith("_")
    }
    return {slug(title) for title in re.findall(r"^#+ (.+)$", text, re.M)} | set(shown) | members


def slug(title: str) -> str:
    """A heading's anchor: lower case, blanks to hyphens, no punctuation."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_call_of_the_broker_is_explained() -> None:
    text = text_of("docs/strategies.md")
    calls = [n for n, v in vars(Broker).items() if callable(v) or isinstance(v, property)]
    calls = [n for n in calls if not n.startswith("_")]
    assert [n for n in calls if f"`broker.{n}" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_leads_everywhere(name: str) -> None:
    """It shows every command, and every page can be reached from it."""
    called = {line.split()[1] for line in re.findall(r"^sigma .*", text_of(name), re.M)}
    assert called == set(COMMANDS)
    reached, waiting = set(), [ROOT / name]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^)\s#:]+\.md)", page.read_text("utf-8")):
            there = (page.parent / target).resolve()
            if there not in reached and not (there.parent == ROOT and there.name.startswith("README")):
                waiting.append(there)
    starts = {ROOT / "docs" / "index.md", ROOT / "docs" / "ko" / "index.md"}  # the site's
    assert [page for page in PAGES if page.parent != ROOT and page not in reached | starts] == []
    assert {ROOT / page for page in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")} <= reached


def test_every_state_of_an_order_is_explained_with_what_can_follow() -> None:
    table = rows_of("docs/trading.md", "## The path of an order")
    for state in State:
        shown = set(re.findall(r"`([^`]+)`", table[state][1]))
        assert shown == {str(following) for following in TRANSITIONS[state]}, state


def test_every_variable_that_the_code_reads_is_explained() -> None:
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "bot" / "sigma_bot").rglob("*.py"))
    told = rows_of("docs/trading.md", "## Environment")
    assert set(re.findall(r"\bSIGMA_[A-Z_]*[A-Z]\b", sources)) == {n for n in told if n.startswith("SIGMA_")}


def test_the_exit_codes_are_explained() -> None:
    codes = {str(kind.exit_code) for kind in (SigmaError, BadInputError, StrategyError)}
    assert {"0", *codes, str(LEASE_HELD)} <= set(rows_of("docs/trading.md", "## Exit codes"))


def test_what_live_needs_is_explained() -> None:
    """Every line that a LIVE manifest is refused for names a field that the guide lists."""
    bare = {"venue": "upbit", "name": "main", "currency": "KRW"}
    spec = {"mode": "live", "strategy": {"file": "x.py"}, "markets": [{"symbol": "KRW-BTC"}], "account": bare}
    head = {"apiVersion": "sigma-x.io/v1alpha1", "kind": "Strategy", "metadata": {"name": "bare"}}
    with pytest.raises(BadInputError) as refused:
        parse_manifest({**head, "spec": spec})
    fields = re.findall(r"spec\.\w+\.(\w+): is missing", str(refused.value))
    assert len(fields) >= 6
    [sentence] = re.findall(r"`mode: live` is refused without (.*?)\.", text_of("docs/trading.md"), re.S)
    assert set(fields) == set(re.findall(r"`(\w+)`", sentence))


def test_every_limit_is_the_engines() -> None:
    text = text_of("docs/strategies.md")
    for words, limit in (
        ("symbols", types.MAX_SYMBOLS),
        ("timeframes", types.MAX_TIMEFRAMES),
        ("open orders", types.MAX_ORDERS),
        ("price bands of a market", types.MAX_BANDS),
        ("events in one row", types.BUDGET),
    ):
        assert re.search(rf"^\| {words} \| {limit}\b", text, re.M), words


def test_every_reason_of_a_rejection_is_explained() -> None:
    text = text_of("docs/backtests.md")
    assert [reason for reason in types.Reason.texts() if reason and f"`{reason}`" not in text] == []


@pytest.mark.parametrize("name", ["Market", "Fees", "Period", "Account", "Execution", "Risk", "Report"])
def test_every_field_of_a_manifest_is_explained(name: str) -> None:
    text = text_of("docs/backtests.md")
    assert [n for n in getattr(blocks, name).yaml_names() if f"`{n}`" not in text] == []


def test_every_field_of_the_data_block_is_explained() -> None:
    text = text_of("docs/data.md")
    assert [n for n in blocks.Data.yaml_names() if f"`{n}`" not in text] == []


def test_the_result_says_what_the_guide_says_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """The keys that docs/backtests.md lists for --output json are the ones that are printed."""
    arguments = ["--no-store", "--engine", "interpreted", "--output", "json"]
    assert run(["backtest", str(EXAMPLE), *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    text = text_of("docs/backtests.md")
    assert [key for key in document if f"`{key}`" not in text] == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/decisions/"])
def test_files_that_are_named_exist(name: str) -> None:
    """By the end of their path, as `engine/types.py` is named; what is in capitals stands for a name."""
    files = {
        str(p.relative_to(ROOT)) for folder in SOURCES for p in (ROOT / folder).rglob("*") if p.is_file()
    }
    named = {
        code for p in PAGES if name_of(p).startswith(name) for code in inline_code(p) if PATH.fullmatch(code)
    }
    assert named
    assert [n for n in named if not any(f"/{f}".endswith(f"/{n}") or f"/{n}" in f"/{f}" for f in files)] == []
