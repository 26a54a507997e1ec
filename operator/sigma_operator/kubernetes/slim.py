"""Takes out of the installed Kubernetes client what the operator cannot reach: it sends and reads plain JSON,
and the models and call groups of every API version are most of the client's size. What importing the client
loads stays. The client that is not asynchronous goes whole: kopf would import it for two names of types, and
every operator would hold it in memory. Building an image runs it by its path, before the code is there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import kubernetes
import kubernetes.aio.client
import kubernetes.aio.config


def main(root: Path) -> None:
    """Remove it from the package that lies in ``root``."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    loaded = {Path(file) for file in files if file}
    for folder in ("models", "api"):
        for source in (root / "aio" / "client" / folder).glob("*.py"):
            if source in loaded or source.name == "__init__.py":
                continue
            source.unlink()
            for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
                compiled.unlink()
    for part in root.iterdir():
        if part.is_dir() and part.name != "aio":
            shutil.rmtree(part)
    (root / "__init__.py").write_text("")


if __name__ == "__main__":
    main(Path(kubernetes.__file__).parent)
