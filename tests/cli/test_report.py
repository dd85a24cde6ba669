"""``report``: its arguments, and the line it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.commands import assert_refused, run

from mobilenet_chest.cli import report as module
from mobilenet_chest.cli.report import page_name
from mobilenet_chest.report import Report
from mobilenet_chest.report.checklists import Checklist
from mobilenet_chest.report.checklists.items import Item


@pytest.mark.parametrize(("run_id", "artifact"), [(None, ""), ("a" * 32, f", and as report.html in run {'a' * 8}")])
def test_where_the_page_is(folder: Path, monkeypatch: pytest.MonkeyPatch, run_id: str | None, artifact: str) -> None:
    asked: list[Any] = []

    def write(*arguments: Any) -> Report:
        asked.append(arguments)
        return Report(Path("page.html"), 1_250_000, run_id)

    monkeypatch.setattr(module, "write_report", write)
    result = run("report", "study", "other", "--out", "page.html", "--baseline", "other", "--reported")
    assert (result.exit_code, result.stdout) == (0, f"page.html: 1.2 MB{artifact}\n")
    assert asked == [(["study", "other"], Path("page.html"), "other", True)]


def test_without_a_file_the_page_is_named_after_the_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "write_report", lambda references, out, baseline, reported: Report(out, 99_000, None))
    result = run("report", "my study")
    assert (result.exit_code, result.stdout) == (0, "my study.html: 0.1 MB\n")


@pytest.mark.parametrize(
    ("references", "name"),
    [
        (["quickstart"], "quickstart.html"),
        (["lr/2024: first?", "1a2b3c4d"], "lr-2024- first--and-1a2b3c4d.html"),
        (["../../etc/passwd"], "etc-passwd.html"),
        ([".."], "report.html"),
        (["胸部\0"], "胸部.html"),
        (["-v"], "v.html"),
        (["胸" * 300], "胸" * 66 + ".html"),
        (["\udce9"], "report.html"),
    ],
)
def test_any_name_becomes_the_name_of_a_file(references: list[str], name: str, folder: Path) -> None:
    made = page_name(references)
    assert made == name
    (folder / made).write_text("")
    assert [path.name for path in folder.iterdir()] == [made]


@pytest.mark.parametrize("out", ["page.pdf", "page", "page.htm"])
def test_a_page_that_would_not_end_in_html(folder: Path, out: str) -> None:
    line = assert_refused(folder, "report", "study", "--out", out, wants=f"--out {out}: ")
    assert "page.html" in line


def checklist_items(references: str, name: str, out: Path) -> Checklist:
    states = [Item("1", "Title", "A title.", "known", ""), Item("2", "Title", "More.", "known", "the rest"),
              Item("3", "Title", "All.", "", "")]  # fmt: skip
    return Checklist(out, "a" * 32, states)


def test_a_checklist_says_how_much_is_filled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "write_checklist", checklist_items)
    result = run("report", "study", "--checklist", "claim", "--out", "list.csv")
    expected = "list.csv: CLAIM 2024 of run aaaaaaaa, 3 items: 1 filled, 1 partly, 1 for the author\n"
    assert (result.exit_code, result.stdout) == (0, expected)
    assert run("report", "my/study", "--checklist", "tripod-ai").stdout.startswith("my-study-tripod-ai.md: TRIPOD+AI ")


@pytest.mark.parametrize(
    ("arguments", "wants"),
    [
        (["study", "--checklist", "consort"], "--checklist consort: no such checklist; allowed: tripod-ai, claim"),
        (["study", "--checklist", "claim", "--out", "list.html"], "--out list.html: "),
        (["study", "other", "--checklist", "claim"], "name one of study, other"),
        (["study", "--checklist", "claim", "--baseline", "other"], "leave out --baseline other"),
        (["study", "--checklist", "claim", "--reported"], "leave out --reported"),
    ],
)
def test_a_checklist_that_cannot_be_written(folder: Path, arguments: list[str], wants: str) -> None:
    assert_refused(folder, "report", *arguments, wants=wants)
