"""What MkDocs does not do by itself: pages that lie outside docs/, and links that lead there."""

from __future__ import annotations

import os.path
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Page of the site → file of the repository. The READMEs are for who reads the source.
OUTSIDE = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "charts/sigma-x.md": "charts/sigma-x/README.md",
    "charts/postgres.md": "charts/postgres/README.md",
    "charts/redis.md": "charts/redis/README.md",
}
PAGES = {source: page for page, source in OUTSIDE.items()} | {
    "README.md": "index.md",
    "README.ko.md": "ko/index.md",
}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside."""
    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links as they are right in the repository become right in the site."""
    here = page.file.src_uri
    folder = PurePosixPath(OUTSIDE.get(here, f"docs/{here}")).parent
    known = {file.src_uri for file in files}
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [_linked(markdown[end : fence.start()], here, folder, known), fence[0]]
        end = fence.end()
    return "".join([*parts, _linked(markdown[end:], here, folder, known)])


def _linked(text: str, here: str, folder: PurePosixPath, known: set[str]) -> str:
    """A link to a file that the site does not have, a source for instance, is left as its text."""

    def led(link: re.Match[str]) -> str:
        target = os.path.normpath(folder / link["target"])
        page = PAGES.get(target, target.removeprefix("docs/"))
        if page in known:
            return (
                f"[{link['text']}]({os.path.relpath(page, PurePosixPath(here).parent)}{link['anchor'] or ''})"
            )
        return link[0] if target.startswith("docs/") else link["text"]

    return LINK.sub(led, text)
