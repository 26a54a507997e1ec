"""How a bot runs, and what it is called."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

from sigma_bot.journal.types import BotIdentity
from sigma_bot.runtime.loader import LoadedStrategy, load_strategy
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.spec import dump_manifest


def holder_name() -> str:
    """Names this process: host, process id, and when it started, since ids are used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return "0"


def process_ended(holder: str) -> bool:
    """Whether the process of a lease was one of this machine and has ended: its lease need not run out."""
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    started = holder.rpartition(":")[2]
    if host != socket.gethostname() or not rest.isdigit():
        return False
    return not Path(f"/proc/{rest}").exists() or _started(int(rest)) != started


@dataclass(frozen=True)
class Settings:
    """How a bot runs, besides its manifest. ``base``: the folder that relative paths start at; ``on_change``
    (refuse, adopt, reset): what to do when code or manifest are not those of the stored state; ``code``: the
    strategy as this process has read it; ``closing``: it only settles its account."""

    manifest: Manifest
    base: Path
    on_change: str = "adopt"
    reset: bool = False
    lease_ttl_s: float = 10.0
    holder: str = field(default_factory=holder_name)
    code: LoadedStrategy | None = None
    closing: bool = False

    def read(self) -> Settings:
        """With the code in it. A file that is changed while the bot runs counts from the next start on."""
        return replace(self, code=self.code or load_strategy(self.manifest.spec.strategy, self.base))

    def strategy(self) -> LoadedStrategy:
        """The code with an instance of its own."""
        code = self.code or load_strategy(self.manifest.spec.strategy, self.base)
        return replace(code, instance=code.cls(**code.params))


def bot_name(manifest: Manifest) -> str:
    """The bot's name in the journal: namespace and name in a cluster, the name alone elsewhere."""
    own = manifest.metadata
    return own.name if own.namespace is None else f"{own.namespace}/{own.name}"


def identity_of(manifest: Manifest, loaded: LoadedStrategy) -> BotIdentity:
    """Who the bot is, and what it runs."""
    from sigma_bot.runtime.identity import manifest_digest

    account = manifest.spec.account
    return BotIdentity(
        name=bot_name(manifest),
        mode=manifest.spec.mode,
        venue=account.venue,
        account=account.name,
        currency=account.currency,
        code_digest=loaded.digest,
        manifest_digest=manifest_digest(manifest, loaded),
        manifest=dump_manifest(manifest),
    )
