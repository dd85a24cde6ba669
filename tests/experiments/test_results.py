"""The pages about what was measured: links, anchors, and the files and tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.markdown import anchors, broken_links, prose

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments"
PAGES = [FOLDER / "README.md", *sorted(FOLDER.glob("results/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_and_anchor_resolves(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"\b(?:experiments|tests)/[\w/.-]+\.(?:py|yaml|md)\b", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_overview_links_every_page_and_lists_every_experiment() -> None:
    overview = prose(FOLDER / "README.md")
    assert [page.name for page in PAGES[1:] if f"(results/{page.name})" not in overview] == []
    experiments = [path.relative_to(FOLDER) for path in FOLDER.rglob("*.yaml")]
    listed = [path for path in experiments if str(path) in overview or f"{path.parent}/*.yaml" in overview]
    assert listed == experiments


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_a_page_answers_one_question(page: Path) -> None:
    titles = re.findall(r"^# (.+)$", prose(page), re.MULTILINE)
    assert len(titles) == 1
    assert titles[0].endswith("?")


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# A title: with `code`, and more\n\n```\n# not a heading\n```\n")
    page.write_text(
        "# One\n[a](#one) [b](#two) [c](other.md) [d](gone.md) [e](other.md#a-title-with-code-and-more) "
        "[f](other.md#not-a-heading) [g](https://example.org)\n"
    )
    assert anchors(other) == {"a-title-with-code-and-more"}
    assert broken_links(page) == ["#two", "gone.md", "other.md#not-a-heading"]
