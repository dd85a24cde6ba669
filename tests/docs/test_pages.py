"""Form of README.md and the manual: size, width, links, and that they reach a reader without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import manual

WITH_LINKS = [*manual.pages(), manual.ROOT / "CHANGELOG.md"]
LANGUAGES = {"", "bash", "console", "csv", "python", "javascript", "text", "yaml"}


@pytest.mark.parametrize("page", WITH_LINKS, ids=manual.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert manual.broken_links(page) == []


def test_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `thing`: two\n\n[a](#one-thing-two) [b](#three) [c](other.md) [d](https://x.org/y)\n")
    assert manual.broken_links(page) == ["#three", "other.md"]


def test_readme_is_short() -> None:
    lines = manual.README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("page", manual.pages()[1:], ids=manual.name)
def test_page_of_the_manual(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert page.stem == "index" or 60 <= len(lines) <= 200
    wide = [line for line in lines if len(line) > 120 and not line.startswith("|")]
    assert wide == []
    assert {block.language for block in manual.blocks(text)} <= LANGUAGES
    # an installed page has its neighbours beside it, and nothing else
    outside = [link for link in manual.links(text) if link.startswith(("/", "../"))]
    assert outside == []


def test_index_lists_every_page() -> None:
    index = (manual.MANUAL / "index.md").read_text(encoding="utf-8")
    assert {f"{page.stem}.md" for page in manual.pages()[1:]} - {"index.md"} <= set(manual.links(index))
