"""Pages of the repository that stand outside docs/ become pages of the site.

A page of the site has the path that it has in the repository, without `docs/`. Links are written as they work in the
repository; a link to a folder leads to its README, and a linked file that is no page is copied beside the pages.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that the navigation names and docs/ lacks, and the files that any page links to."""
    for path in _pages(config.nav):
        if files.get_file_from_path(path) is None:
            files.append(_file(path, config))
    waiting = list(files.documentation_pages())
    while waiting:
        for target in sorted(_targets(waiting.pop())):
            if files.get_file_from_path(_site_path(target)) is None:
                files.append(file := _file(target, config))
                waiting += [file] if file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes the links of the repository links of the site."""
    home, here = posixpath.dirname(_repository_path(page.file)), posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = _target(home, link[1])
        if target is None:
            return link[0]  # MkDocs names what is missing.
        return posixpath.relpath(_site_path(target), here or ".") + (link[2] or "")

    return _outside_of_code(markdown, moved)


def _pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ()
    return [path for part in parts for path in _pages(part)]


def _file(path: str, config: MkDocsConfig) -> File:
    return File(path, str(ROOT), config.site_dir, config.use_directory_urls)


def _targets(page: File) -> set[str]:
    """The files of the repository that a page links to, by their paths in the repository."""
    found: list[str | None] = []
    home = posixpath.dirname(_repository_path(page))
    _outside_of_code(page.content_string, lambda link: str(found.append(_target(home, link[1]))))
    return {target for target in found if target is not None}


def _target(home: str, link: str) -> str | None:
    path = posixpath.normpath(posixpath.join(home, link))
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
    is_inside = not path.startswith("..") and (ROOT / path).is_file()
    return path if is_inside else None


def _repository_path(page: File) -> str:
    assert page.abs_src_path is not None
    return Path(os.path.realpath(page.abs_src_path)).relative_to(ROOT).as_posix()


def _site_path(path: str) -> str:
    return path.removeprefix("docs/")


def _outside_of_code(markdown: str, replace: object) -> str:
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(replace, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(replace, markdown[end:])])
