"""Numba's account of a typing error, pages long, as one line of the user's file and a short reason."""

from __future__ import annotations

import re

from sigma_bot.kernel.call_graph import CallGraph
from sigma_bot.kernel.errors import Refusal
from sigma_bot.kernel.subset import refusal_at, refusal_of

# the innermost error comes first, so does its place
_PLACE = re.compile(r'File "([^"\n]+)", line (\d+)|\b(?:at|from) ([^\n]+?) \((\d+)\)')
_KINDS = (
    (r"Literal\[str\]\([^)]*\)|unicode_type", "text"),
    (r"Literal\[int\]\([^)]*\)|int64", "int"),
    (r"float64", "float"),
    (r"\.\d+\.\d+\b", ""),  # the numbers that tell one world's types from another's
)
# what Numba says → (what we say, what to do)
_REASONS = (
    (r"Unknown attribute '(\w+)' of type (\w+)", "{1} has no field or method {0}", ""),
    (r"got an unexpected keyword argument '(\w+)'", "there is no parameter {0}", ""),
    (r"missing a required argument: '(\w+)'", "the argument {0} is missing", ""),
    (r"(too many positional arguments)", "{0}", ""),
    (
        r"Can't unify return type from the following types: (.+)",
        "it returns values of different kinds: {0}",
        "",
    ),
    (r"Cannot unify (.+?) and (.+?) for ", "a variable would hold both {0} and {1}", ""),
    (r"Cannot cast (.+?) to (\w+)", "{0} cannot be used as {1}", ""),
    (r"Untyped global name '(\w+)'", "{0} does not compile", ""),
    (r"failed to unpack (\w+)", "a {0} cannot be unpacked", ""),
    (
        r"Cannot infer the type of variable '(\w+)",
        "{0} is empty and of no known kind",
        "start it with a value",
    ),
    (r"(a number is needed here, not \S+)", "{0}", ""),
    (r"(an integer (?:to the|power).*)", "{0}", "write float(…), or a constant power"),
    (r"(sum\(\) compiles for .*)", "{0}", "add up in a loop"),
    (
        r"found for signature:\s*>>> (?!implementation|constant)(\w+)\((.*)\)",
        "{0} does not compile for ({1})",
        "",
    ),
)
_NOISE = (
    *("Failed", "During", "File", "-", "No", ">>>", "There"),
    *("Overload", "With", "Rejected", "TypingError:", "raised"),
)


def explain(error: Exception, reached: CallGraph) -> Refusal:
    """The refusal that says what a typing error of Numba means, placed in a file of the reached code."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    files = {f.__code__.co_filename.rpartition("/")[2]: f.__code__.co_filename for f, _ in reached.functions}
    named = [(a or c, int(b or d)) for a, b, c, d in _PLACE.findall(text)]  # Numba shortens the paths
    places = [
        (files[name.rpartition("/")[2]], line) for name, line in named if name.rpartition("/")[2] in files
    ]
    for pattern, word in _KINDS:
        text = re.sub(pattern, word, text)
    reason, remedy = _reason(text)
    if not places:
        return refusal_of(reached.functions[0][0], reason, remedy)
    return refusal_at(*places[0], 1, reason, remedy)


def _reason(text: str) -> tuple[str, str]:
    for pattern, said, remedy in _REASONS:
        if (found := re.search(pattern, text)) is not None:
            return said.format(*found.groups())[:160], remedy
    lines = [line.strip() for line in text.splitlines()]
    return next((s for s in lines if s and not s.startswith(_NOISE)), "it does not compile")[:160], ""
