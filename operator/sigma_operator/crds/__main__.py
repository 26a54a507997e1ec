"""Write the definitions and their reference: ``python -m sigma_operator.crds FOLDER REFERENCE``."""

from __future__ import annotations

import sys
from pathlib import Path

from sigma_operator.crds.definitions import definitions, to_yaml
from sigma_operator.crds.reference import reference


def main(folder: str, page: str) -> None:
    """One file for each definition in ``folder``, and the page."""
    for name, document in definitions().items():
        (Path(folder) / name).write_text(to_yaml(document))
    Path(page).write_text(reference())


if __name__ == "__main__":
    main(*sys.argv[1:])
