"""``sigma new``: a strategy of the user's own, ready to run."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from string import Template

import click

from sigma_bot.errors import BadInputError

TEMPLATES = Path(__file__).parent / "templates"
# Template → file, ${...} filled in both.
FILES = {
    "strategy.py.txt": "${name}.py",
    "backtest.yaml.txt": "backtest.yaml",
    "strategy.yaml.txt": "strategy.yaml",
    "test_strategy.py.txt": "test_${name}.py",
}


@click.command()
@click.argument("name")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Where to make the folder.  [default: here]",
)
def new(name: str, parent: Path) -> None:
    """Make the folder NAME with a commented strategy, its manifests and a test. Everything runs as it is.

    \b
    sigma new my_strategy
    sigma new my_strategy --dir strategies
    """
    folder = create(name, parent)
    click.echo(f"made {folder}{os.sep}")
    for file in sorted(folder.iterdir()):
        click.echo(f"  {file.name}")
    click.echo("next:")
    for line in (
        f"sigma backtest {folder / 'backtest.yaml'}",
        f"sigma backtest {folder / 'backtest.yaml'} --set fast=8 --html report.html",
        f"python -m pytest {folder}",
    ):
        click.echo(f"  {line}")


def create(name: str, parent: Path) -> Path:
    """Write the folder, whole or not at all. Raises BadInputError for a bad name or when it exists."""
    check_name(name)
    folder = parent / name
    if not parent.is_dir():
        raise BadInputError(f"--dir {parent}: is no folder; create it first")
    if folder.exists() or folder.is_symlink():
        raise BadInputError(f"{folder}: exists and is left as it is; choose another name or --dir")
    words = {
        "name": name,
        "class_name": "".join(part[:1].upper() + part[1:] for part in name.split("_")),
        "object_name": name.lower().replace("_", "-").strip("-"),
    }
    draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        for template, file in FILES.items():
            text = Template((TEMPLATES / template).read_text("utf-8")).substitute(words)
            (draft / Template(file).substitute(words)).write_text(text, "utf-8")
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def check_name(name: str) -> None:
    """A name that serves as a Python module, a class and a Kubernetes object."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,51}", name) is None or name.endswith("_"):
        suggestion = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_0123456789").lower()
        near = f"; {suggestion!r} would do" if suggestion else ""
        raise BadInputError(f"{name!r} cannot name a strategy: letters, digits and _, a letter first{near}")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise BadInputError(f"{name!r} cannot name a strategy: it is a word of Python; try 'my_{name}'")
    if name in sys.stdlib_module_names or is_installed(name):
        raise BadInputError(f"{name!r} cannot name a strategy: a module has that name; try 'my_{name}'")


def is_installed(name: str) -> bool:
    """Whether ``import name`` would find a package that the strategy's file must not hide."""
    if name == "sigma_bot":
        return True
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and "site-packages" in spec.origin
