"""Links in the documentation lead to files and headings that are there, on GitHub and in the site."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "hooks"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "pipelines").rglob("*.md")),
    ROOT / "saved_models" / "README.md",
]
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)")


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    """Every page with what the site makes of the code, without code blocks."""
    spec = importlib.util.spec_from_file_location("reference", HOOKS / "reference.py")
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return {page: FENCE.sub("", reference.on_page_markdown(page.read_text(encoding="utf-8"))) for page in PAGES}


def anchors(text: str) -> set[str]:
    """Those that GitHub gives headings, and those that are written."""
    titles = re.findall(r"^#+ (.*?)(?: \{.*\})?$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    made = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in plain}
    return made | set(re.findall(r"\{ #([\w-]+) \}", text))


def problems(page: Path, texts: dict[Path, str]) -> list[str]:
    found = []
    for target, anchor in LINK.findall(texts[page]):
        path = (page.parent / target).resolve() if target else page
        if path.is_dir():
            path = path / "README.md"
        if not path.is_relative_to(ROOT) or not path.is_file():
            found.append(f"{target}: no such file")
        elif anchor and anchor[1:] not in anchors(texts[path]):
            found.append(f"{target}{anchor}: no such heading")
    return found


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])
def test_links(page: Path, texts: dict[Path, str]) -> None:
    assert problems(page, texts) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    assert problems(page, {page: "# A\n[a](#a) [b](#b) [c](docs/nothing.md)"}) == [
        "#b: no such heading",
        "docs/nothing.md: no such file",
    ]


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(pages) <= set(re.findall(r"[\w/-]+\.md", navigation))
