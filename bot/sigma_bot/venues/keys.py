"""API keys: read from files or the environment, by reference only, and kept out of everything that is shown.

Nothing here is protection against code that runs in the same process; it is protection against accidents: a
log, an error, a process list, a core dump, a pickled object.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from sigma_bot.errors import BadInputError
from sigma_bot.redaction import HIDDEN, remember_secrets

FOLDER_VARIABLE = "SIGMA_KEYS_DIR"
KEY_VARIABLE = "SIGMA_API_KEY"
SECRET_VARIABLE = "SIGMA_API_SECRET"


class Keys:
    """An account's key and secret. Shown as ``Keys(***)``, never pickled or copied."""

    __slots__ = ("__key", "__secret")

    def __init__(self, key: str, secret: str) -> None:
        self.__key, self.__secret = key, secret
        remember_secrets(key, secret)

    def reveal(self) -> tuple[str, str]:
        """Key and secret. For signing only."""
        return self.__key, self.__secret

    def fingerprint(self) -> str:
        """Eight hexadecimal digits that stand for the key: names its rate limits without telling it."""
        import hashlib

        return hashlib.sha256(self.__key.encode()).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"Keys({HIDDEN})"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("API keys are not pickled or copied")


def load_keys(environment: dict[str, str] | None = None) -> Keys:
    """The keys named by ``SIGMA_KEYS_DIR`` (files ``apiKey`` and ``secret``), else ``SIGMA_API_KEY`` and
    ``SIGMA_API_SECRET``, which are taken out of the environment. BadInputError says what is missing."""
    source = os.environ if environment is None else environment
    key, secret = source.pop(KEY_VARIABLE, ""), source.pop(SECRET_VARIABLE, "")
    folder = source.get(FOLDER_VARIABLE)
    if folder:
        key, secret = _read(Path(folder) / "apiKey"), _read(Path(folder) / "secret")
    elif not key or not secret:
        missing = KEY_VARIABLE if not key else SECRET_VARIABLE
        raise BadInputError(
            f"no API keys: {missing} is not set. Give a folder with the files apiKey and secret in "
            f"{FOLDER_VARIABLE}, or both {KEY_VARIABLE} and {SECRET_VARIABLE}"
        )
    return Keys(key.strip(), secret.strip())


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise BadInputError(f"API keys: {path} cannot be read ({why})") from None
    if not text:
        raise BadInputError(f"API keys: {path} is empty")
    return text


def no_core_dumps() -> None:
    """Forbid core dumps, and reading this process's memory by others of the same user (Linux)."""
    import ctypes
    import resource
    import sys

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        set_dumpable = 4
        if ctypes.CDLL(None, use_errno=True).prctl(set_dumpable, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
