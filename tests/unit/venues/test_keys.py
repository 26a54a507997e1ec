"""Keys: read by reference, and shown nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.redaction import redact
from sigma_bot.venues.keys import Keys, load_keys

KEY, SECRET = "AkEy0123456789", "sEcReT-0123456789"


def test_no_form_of_the_keys_shows_them() -> None:
    keys = Keys(KEY, SECRET)
    shown = [repr(keys), str(keys), f"{keys}", f"{keys:>20}", "%s %r" % (keys, [keys]), str({"k": keys})]  # noqa: UP031
    shown.append(logging.LogRecord("n", 20, "p", 1, "%s", (keys,), None).getMessage())
    shown.append(json.dumps({"keys": keys}, default=str))
    for text in shown:
        assert KEY not in text
        assert SECRET not in text
    assert not hasattr(keys, "__dict__")
    assert keys.reveal() == (KEY, SECRET)


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_keys_are_not_pickled_or_copied(how: object) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        how(Keys(KEY, SECRET))


def test_keys_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "apiKey").write_text(f"{KEY}\n")
    (tmp_path / "secret").write_text(f" {SECRET}\n")
    environment = {"SIGMA_KEYS_DIR": str(tmp_path), "SIGMA_API_KEY": "old", "SIGMA_API_SECRET": "old"}
    assert load_keys(environment).reveal() == (KEY, SECRET)
    assert environment == {"SIGMA_KEYS_DIR": str(tmp_path)}


def test_keys_from_the_environment_leave_it() -> None:
    environment = {"SIGMA_API_KEY": KEY, "SIGMA_API_SECRET": SECRET, "HOME": "/"}
    assert load_keys(environment).reveal() == (KEY, SECRET)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "SIGMA_API_KEY is not set"),
        ({"SIGMA_API_KEY": KEY}, "SIGMA_API_SECRET is not set"),
        ({"SIGMA_KEYS_DIR": "/nowhere"}, r"/nowhere/apiKey cannot be read \(No such file"),
    ],
)
def test_missing_keys_are_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(BadInputError, match=said) as missing:
        load_keys(environment)
    assert KEY not in str(missing.value)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00"])
def test_an_empty_or_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "apiKey").write_text(KEY)
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(BadInputError, match="secret"):
        load_keys({"SIGMA_KEYS_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://x/api?apiKey={KEY}&signature=deadbeef01",
        f"headers {{'X-MBX-APIKEY': '{KEY}'}} body {SECRET}",
        "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJhY2Nlc3NfIn0.c2lnbmF0dXJl",
        '{"params":{"apiKey":"other-key-of-theirs","signature":"deadbeef01"}}',
        "?access_key=other-key-of-theirs&signature=deadbeef01",
    ],
)
def test_errors_and_logs_are_redacted(text: str) -> None:
    Keys(KEY, SECRET)
    clean = redact(text)
    for secret in (KEY, SECRET, "deadbeef01", "c2lnbmF0dXJl", "eyJhY2", "other-key-of-theirs"):
        assert secret not in clean
    assert "***" in clean


def test_ordinary_text_is_left_alone() -> None:
    text = "binance: Filter failure: PRICE_FILTER (-1013) at 50000.01"
    assert redact(text) == text


def test_the_fingerprint_tells_accounts_apart_and_nothing_else() -> None:
    assert Keys(KEY, SECRET).fingerprint() == Keys(KEY, "another").fingerprint()
    assert Keys(KEY, SECRET).fingerprint() != Keys("another", SECRET).fingerprint()
    assert len(Keys(KEY, SECRET).fingerprint()) == 8


def test_a_crash_leaves_no_core() -> None:
    script = (
        "from sigma_bot.venues.keys import no_core_dumps; no_core_dumps()\n"
        "import ctypes, resource\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0\n"  # PR_GET_DUMPABLE
    )
    subprocess.run([sys.executable, "-c", script], check=True)
