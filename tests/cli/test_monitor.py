"""``monitor``: its arguments, what it prints, its page, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.deploy.answer_log import FOLDER
from mobilenet_chest.deploy.monitor import findings as module
from mobilenet_chest.deploy.monitor.findings import ChartPoints, Findings, Point, WindowSummary
from mobilenet_chest.evaluation.drift import Prevalence
from mobilenet_chest.evaluation.intervals import Interval

INFINITE = float("inf")

WINDOW = WindowSummary("2026-11-01T00:00:00+00:00", "2026-11-01T01:00:00+00:00", 100, Interval(0.94, 0.9, 0.97),
                       Prevalence(Interval(0.3, 0.2, 0.4)))  # fmt: skip


def chart(key: str, *values: float) -> ChartPoints:
    return ChartPoints(key, f"{key} of films", 0.1, [Point(value, -INFINITE, 0.5, value > 0.5) for value in values])


FOUND = Findings("chest", "3", "ab" * 16, 250, None, "100", 1e-4, 524, 0.95, 0.7, 50, [WINDOW, WINDOW],
                 [chart("ks", 0.2, 0.3), chart("size", 0.0, 0.1)], ["features: the log lacks them"])  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``monitor`` was given; it returns what the last entry of the list is, if that is findings."""
    given: list[Any] = [FOUND]

    def monitored(*arguments: object) -> Findings:
        found = given[0]
        given.append(arguments)
        assert isinstance(found, Findings)
        return found

    monkeypatch.setattr(module, "monitor", monitored)
    return given


def test_one_line_a_chart(folder: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("monitor", "chest", "--since", "7d")
    assert result.exit_code == 0, result.output
    assert calls[1:] == [("chest", "7d", "100", 1e-4, FOLDER)]
    lines = result.stdout.splitlines()
    assert max(map(len, lines[1:-5])) <= 80
    (row,) = (text for text in lines if "ks of films" in text)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "ks of films", "0.100", "0.300", "at most 0.500", "0", "ok"
    ]  # fmt: skip
    assert "0.940 (0.900–0.970)" in result.stdout
    assert "10,000" in lines[-1]


def test_out_of_control_leaves_with_3(folder: Path, calls: list[Any]) -> None:
    calls[0] = replace(FOUND, charts=[chart("ks", 0.7, 0.3), chart("size", 0.0, 0.1)])
    result = run("monitor", "chest", "--window", "1d", "--alarm-rate", "0.001", "--log-dir", "logs")
    assert (result.exit_code, result.stderr) == (3, "")
    assert calls[1:] == [("chest", None, "1d", 1e-3, Path("logs"))]
    assert "1 of 2 windows" in result.stdout


def test_one_json_document(folder: Path, calls: list[Any]) -> None:
    calls[0] = replace(FOUND, charts=[chart("ks", 0.2, 0.7)])
    result = run("monitor", "chest", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["in_control"], document["version"]) == (3, False, "3")
    assert document["charts"][0]["points"][1] == {"value": 0.7, "low": None, "high": 0.5, "out": True}
    assert document["windows"][0]["accuracy"] == {"value": 0.94, "low": 0.9, "high": 0.97}


@pytest.mark.parametrize(("window", "needed"), [("100", "50 more"), ("1d", "at least 20")])
def test_too_few_films(folder: Path, calls: list[Any], window: str, needed: str) -> None:
    calls[0] = replace(FOUND, window=window, windows=[], charts=[], absent=[])
    result = run("monitor", "chest", "--report", "page.html")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert needed in result.stdout
    assert not (folder / "page.html").exists()


def test_a_page(folder: Path, calls: list[Any]) -> None:
    refused = replace(WINDOW, prevalence=Prevalence(None, "<others>"))
    calls[0] = replace(FOUND, charts=[chart("ks", 0.2, 0.7)], windows=[WINDOW, refused])
    result = run("monitor", "chest", "--report", "page.html")
    assert result.exit_code == 3
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3
    assert "Monitoring of chest, version 3" in page
    assert "&lt;others&gt;" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_page_that_cannot_be_written(folder: Path, calls: list[Any]) -> None:
    assert_one_line("monitor", "chest", "--report", "none/page.html", wants="--report none/page.html")
    assert calls == [FOUND]
