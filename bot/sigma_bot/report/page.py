"""The shell of an HTML report: one file that opens offline, and the one place where it is written to disk.

The page holds its style, its script and plotly.js as text. A content security policy forbids every network
access and every script but the two embedded ones (by their hashes), so that a strategy's name can never run
as code, escaped or not.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources, util
from pathlib import Path
from typing import Any

from sigma_bot.errors import BadInputError, SigmaError

Figure = dict[str, Any]


def escape(value: object) -> str:
    """Text for HTML, in an attribute as well."""
    return html.escape(str(value), quote=True)


def page(title: str, body: str, figures: Mapping[str, Figure], heading: str = "") -> str:
    """A whole document. ``body`` and ``heading`` are HTML, ``title`` text, ``figures`` plotly figures by
    element id.
    """
    style = _own("page.css")
    scripts = [plotly_text(), _own("page.js")] if figures else []
    rules = " ".join(_hash(text) for text in scripts) or "'none'"
    policy = f"default-src 'none'; script-src {rules}; style-src 'unsafe-inline'; img-src data: blob:"
    data = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    # Inside a script element only "<" can end the text early; a JSON string takes it as an escape.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>{heading}{body}",
        f'<script type="application/json" id="figures">{data}</script>' if figures else "",
        *(f"<script>{text}</script>\n" for text in scripts),
        "</body></html>\n",
    ]
    return "".join(parts)


def plotly_text() -> str:
    """plotly.js as it lies in the installed package, found without importing it: its import takes 0.4 s."""
    spec = util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise SigmaError("an HTML report needs plotly; install sigma-x[backtest]")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    if not path.is_file():
        raise SigmaError(f"the installed plotly lacks {path.name}; reinstall it")
    return _script(path.read_text(encoding="utf-8"))


def write_page(path: str | Path, text: str) -> Path:
    """Write ``text`` whole or not at all; see :func:`drafted`."""
    with drafted(path, text) as written:
        return written


@contextmanager
def drafted(path: str | Path, text: str) -> Iterator[Path]:
    """Write ``text`` beside ``path``; it takes its place when the block ends without an error.

    An existing file stays until then. Raises :class:`BadInputError` when the folder is missing or the place
    cannot be written.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise BadInputError(
            f"HTML report {str(path)!r}: the folder {str(path.parent)!r} does not exist; "
            "create it or choose another"
        )
    if path.is_dir():
        raise BadInputError(f"HTML report {str(path)!r}: this is a folder; give the name of a file")
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _writing(path):
            draft.write_text(text, encoding="utf-8")
        yield path
        with _writing(path):
            draft.replace(path)
    finally:
        with _writing(path):
            draft.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInputError(
            f"HTML report {str(path)!r} cannot be written: {error.strerror or error}; choose another place"
        ) from error


def section(title: str, content: str, note: str = "", tools: str = "", identifier: str = "") -> str:
    """A card with a heading; ``content`` and ``tools`` are HTML, ``title`` and ``note`` text."""
    name = f' id="{identifier}"' if identifier else ""
    quiet = f'<span class="muted">{escape(note)}</span>' if note else ""
    return f'<section{name}><div class="bar"><h2>{escape(title)}</h2>{quiet}{tools}</div>{content}</section>'


def chart(identifier: str, size: str = "") -> str:
    """The place of a figure."""
    return f'<div class="chart {size}" id="{identifier}"></div>'


def tile(label: str, value: str, note: str = "", tone: str = "") -> str:
    """One large figure."""
    return (
        f'<div class="tile"><div class="label">{escape(label)}</div>'
        f'<div class="value {tone}">{escape(value)}</div><div class="note">{escape(note)}</div></div>'
    )


def table(heads: Sequence[str], rows: Iterable[str], left: Iterable[int] = (), sortable: bool = False) -> str:
    """A table of ready ``<tr>`` rows under text heads; columns in ``left`` are aligned to the left."""
    aligned = set(left)
    cells = (
        f"<th{' class=l' if i in aligned else ''}>"
        + (f'<button type="button">{escape(head)}</button>' if sortable else escape(head))
        + "</th>"
        for i, head in enumerate(heads)
    )
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{"".join(cells)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _own(name: str) -> str:
    return (resources.files("sigma_bot.report") / name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    """A library's script, safe inside a script element; a browser drops carriage returns, the hash must as
    well.
    """
    return text.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
