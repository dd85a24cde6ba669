"""``report``: its arguments, and the line it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run

from mobilenet_chest.cli import report as module
from mobilenet_chest.report import Report


@pytest.mark.parametrize(("run_id", "artifact"), [(None, ""), ("a" * 32, f", and as report.html in run {'a' * 32}")])
def test_where_the_page_is(folder: Path, monkeypatch: pytest.MonkeyPatch, run_id: str | None, artifact: str) -> None:
    asked: list[Any] = []

    def write(*arguments: Any) -> Report:
        asked.append(arguments)
        return Report(Path("page.html"), 1_250_000, run_id)

    monkeypatch.setattr(module, "write_report", write)
    result = run("report", "study", "other", "--out", "page.html", "--baseline", "other", "--reported")
    assert (result.exit_code, result.stdout) == (0, f"page.html: 1.2 MB{artifact}\n")
    assert asked == [(["study", "other"], Path("page.html"), "other", True)]
