"""``docs``: pages that are installed with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import run

from mobilenet_chest.cli import docs as module


@pytest.fixture
def manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pages in place of the installed ones."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "sweeps.md").write_text("# Sweeps, and how they resume\n\nText with [brackets] and *stars*.\n")
    (folder / "comparing.md").write_text("# Comparing runs\n")
    (folder / "notes.txt").write_text("no page")
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    return folder


def test_pages_are_listed_with_their_headings(manual: Path) -> None:
    rows = [[cell.strip() for cell in text.strip("│").split("│")] for text in run("docs").stdout.splitlines()]
    assert [row for row in rows if len(row) == 2 and row[0] in ("comparing", "sweeps", "notes")] == [
        ["comparing", "Comparing runs"],
        ["sweeps", "Sweeps, and how they resume"],
    ]


@pytest.mark.parametrize("name", ["sweeps", "sweeps.md"])
def test_a_page_is_printed_as_it_is(manual: Path, name: str) -> None:
    result = run("docs", name)
    assert (result.exit_code, result.stdout) == (0, (manual / "sweeps.md").read_text())


def test_an_unknown_page_names_the_nearest(manual: Path) -> None:
    result = run("docs", "sweps")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "'sweps'" in result.stderr
    assert "'sweeps'" in result.stderr


def test_the_installed_pages_have_headings() -> None:
    pages = [page for page in module._files() if page.name.endswith(".md")]
    assert all(page.read_text(encoding="utf-8").startswith("# ") for page in pages)
