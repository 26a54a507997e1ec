"""``sigma run``: a strategy on real-time prices, with a virtual or a real account."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--db", metavar="URL", help="The journal's database, else SIGMA_DATABASE_URL, else SQLite.")
@click.option(
    "--redis", "bus", metavar="URL", help="A bus with a feed on it; else the feed runs in this process."
)
@click.option(
    "--on-change",
    type=click.Choice(["refuse", "adopt", "reset"]),
    default="adopt",
    show_default=True,
    help="When code or manifest have changed since the last start: refuse, let the new one take over account "
    "and orders, or begin a new run.",
)
@click.option(
    "--reset", is_flag=True, help="Begin a new run with a fresh account, also without a change (SIM)."
)
@click.option("--port", type=click.IntRange(0, 65535), help="Serve /healthz, /readyz, /status and /metrics.")
@click.option(
    "--record", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the ticks are recorded."
)
def run(
    manifest: Path,
    db: str | None,
    bus: str | None,
    on_change: str,
    reset: bool,
    port: int | None,
    record: Path | None,
) -> None:
    """Run a Strategy manifest on real-time prices: SIM with virtual money, LIVE with real orders.

    \b
    Examples:
      sigma run examples/ema-cross/strategy.yaml
      sigma status                                    # in another terminal
      sigma halt ema-cross

    Ctrl-C ends it cleanly: state and orders are stored, and running it again goes on where it was. LIVE needs
    `mode: live`, limits and a confirmation in the manifest, and the venue's keys in SIGMA_KEYS_DIR.
    """
    from sigma_bot.spec import load_manifest
    from sigma_bot.trading.service import Places, serve
    from sigma_bot.trading.settings import Settings

    loaded = load_manifest(manifest, "Strategy")
    code = serve(
        Settings(loaded, manifest.parent, on_change, reset=reset),
        Places(database=db, bus=bus, health_port=port, recording=record),
    )
    click.get_current_context().exit(code)
