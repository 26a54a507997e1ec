"""``sigma inline``: a manifest that needs nothing beside it, for a cluster that does not see your folders."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def inline(file: Path) -> None:
    """Print the manifest FILE with the strategy's source in it, in place of the name of its file.

    \b
    sigma inline my_strategy/strategy.yaml | kubectl apply -f -
    sigma inline FILE | kubectl diff -f -

    A manifest that holds its source in spec.strategy.code, like the examples, needs no such step.

    Manifest and strategy are checked first, parameters included. Other documents of FILE are passed on.
    """
    from sigma_bot.services.manifests import inline_source

    click.echo(inline_source(file), nl=False)
