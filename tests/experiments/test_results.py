"""The pages about what was measured: links, anchors, and the files and tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.manual import broken_links, prose

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
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(results/{page.name})" not in overview] == []
    experiments = [path.relative_to(FOLDER) for path in FOLDER.rglob("*.yaml")]
    listed = [path for path in experiments if str(path) in overview or f"{path.parent}/*.yaml" in overview]
    assert listed == experiments


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_a_page_answers_one_question(page: Path) -> None:
    titles = [line for line in prose(page.read_text(encoding="utf-8")) if line.startswith("# ")]
    assert len(titles) == 1
    assert titles[0].endswith("?")
