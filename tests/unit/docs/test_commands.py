"""Commands that are named exist, with the options they are given: in documents, in help and in messages."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from sigma_bot.cli.main import sigma
from tests.support import ROOT
from tests.unit.docs.pages import BLOCKS, PAGES, inline_code, name_of

Command = list[str]
KUBECTL_SIGMA = (ROOT / "operator" / "kubectl-sigma").read_text("utf-8")
# Verbs that hand their arguments on to the command of that name.
HANDED_ON = ("status", "orders", "fills", "positions", "halt", "resume", "flatten", "data", "parity")
# Options of other programs that stand alone in a sentence.
FOREIGN = {
    "kubectl": ["-o", "--previous"],
    "helm": ["--no-hooks"],
    "uv pip install": ["--no-deps"],
    "python -m tests.bench": ["--quick", "--folder", "--only"],
}


def in_shell(text: str) -> list[Command]:
    """Every simple command of a block, up to a pipe or the end of a line; those in $(...) too."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|&;()\n<>")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    found: list[Command] = [[]]
    for word in lexer:
        if set(word) <= set("|&;()\n"):
            found.append([])
        else:
            found[-1].append(word)
    return [named for words in found if (named := after_prefix(words))]


def after_prefix(words: Command) -> Command:
    """Without VARIABLE=value in front; of `kubectl exec … -- sigma …` what runs in the pod."""
    while words and re.match(r"\w+=", words[0]):
        words = words[1:]
    if words[:2] == ["kubectl", "exec"] and "--" in words:
        words = words[words.index("--") + 1 :]
    return words


def without_comments(text: str) -> str:
    return re.sub(r"(^|\s)#.*", r"\1", text)


def resolve(words: Command) -> tuple[click.Command, click.Context, Command]:
    """The command that words name, and what follows its name."""
    command: click.Command = sigma
    context = click.Context(command, info_name="sigma")
    rest = list(words)
    while isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z]+", rest[0]):
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]!r} in {words}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    return command, context, rest


def options_of(command: click.Command) -> set[str]:
    own = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return own | {"--help"}


def check_options(words: Command) -> None:
    """A command, and options that it has, as a sentence names them: `sigma orders NAME --open`."""
    command, _, rest = resolve([word for word in words if word != "COMMAND"])
    named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    if len(words) > 1 and words[0] == "COMMAND":
        return
    assert named <= options_of(command), f"{command.name} has no {named - options_of(command)}"


def check_kubectl_sigma(words: Command, check: Any) -> None:
    """A verb of operator/kubectl-sigma, after `-n NAMESPACE` and `--context CONTEXT`."""
    rest = list(words)
    while rest and rest[0] in ("-n", "--namespace", "--context"):
        rest = rest[2:]
    for verb in rest[0].split("|") if rest else []:
        assert re.search(rf"^  (\w+\|)*{verb}(\|\w+)*\)", KUBECTL_SIGMA, re.MULTILINE), (
            f"there is no verb {verb}"
        )
        if verb in HANDED_ON:
            check([verb, *rest[1:]])


def check_make(words: Command) -> None:
    """Targets and variables of the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for word in words:
        if variable := re.fullmatch(r"([A-Z]+)=.*", word):
            assert f"$({variable[1]})" in makefile, f"the Makefile knows no {variable[1]}"
        elif not word.startswith("-"):
            assert re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE), f"there is no target {word!r}"


def shell_blocks() -> Iterator[Any]:
    for block in BLOCKS:
        if block.language == "sh":
            yield pytest.param(without_comments(block.text), id=block.where)


def in_sentences() -> Iterator[Any]:
    for path in PAGES:
        for code in dict.fromkeys(inline_code(path)):
            if re.match(r"(sigma|make|kubectl sigma) ", code):
                yield pytest.param(code, id=f"{name_of(path)} {code}")


@pytest.mark.parametrize("text", list(shell_blocks()))
def test_a_block_calls_what_there_is(text: str) -> None:
    def parse(words: Command) -> None:
        command, context, rest = resolve(words)
        command.make_context(command.name, rest, parent=context.parent)

    for words in in_shell(text):
        if words[0] == "sigma":
            parse(words[1:])
        elif words[:2] == ["kubectl", "sigma"]:
            check_kubectl_sigma(words[2:], parse)
        elif words[0] == "make":
            check_make(words[1:])


@pytest.mark.parametrize("code", list(in_sentences()))
def test_a_sentence_names_what_there_is(code: str) -> None:
    words = [word for word in re.split(r" \| ", code)[0].split() if word != "…"]
    if words[0] == "sigma":
        check_options(words[1:])
    elif words[0] == "make":
        check_make(words[1:])
    else:
        check_kubectl_sigma(words[2:], check_options)


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Each command by its words, those of groups too."""
    waiting: list[tuple[str, click.Command]] = [("sigma", sigma)]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            waiting += [
                (f"{name} {sub}", found)
                for sub in command.list_commands(context)
                if (found := command.get_command(context, sub)) is not None
            ]


def test_options_that_stand_alone_are_options_of_something() -> None:
    known = {name for _, command in every_command() for name in options_of(command)}
    known |= {name for names in FOREIGN.values() for name in names}
    named = {
        (name_of(path), code.split()[0].partition("=")[0])
        for path in PAGES
        for code in inline_code(path)
        if re.match(r"--?[a-z]", code)
    }
    assert len(named) > 50
    assert sorted((page, option) for page, option in named if option not in known) == []


def texts_of(path: Path) -> Iterator[str]:
    """The texts of a module: docstrings, help and messages; what is put in between is a name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("package", ["bot/sigma_bot", "operator/sigma_operator"])
def test_help_and_messages_name_what_there_is(package: str) -> None:
    named = {
        (str(path.relative_to(ROOT)), " ".join(code.split()))
        for path in (ROOT / package).rglob("*.py")
        for text in texts_of(path)
        for code in re.findall(r"[`'\"](sigma [a-z][^`'\"|]*)", text)
    }
    assert len(named) > 1
    for _, code in sorted(named):
        check_options(code.split()[1:])


def test_every_command_and_option_says_what_it_does() -> None:
    silent = []
    for name, command in every_command():
        assert command.get_help(click.Context(command, info_name=name)).startswith(f"Usage: {name}")
        if not command.help:
            silent.append(name)
        silent += [
            f"{name} {option.opts[0]}"
            for option in command.params
            if isinstance(option, click.Option) and not option.help and not option.hidden
        ]
    assert silent == []
