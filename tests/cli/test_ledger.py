"""``ledger``: what it prints for people and for scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import ledger as module
from mobilenet_chest.selection.access import Access

ACCESS = Access("a" * 32, "study", "2026-01-02T03:04:05", "0123", "ann", {"test_auc_tta": 0.75}, again=True)


@pytest.fixture
def accessed(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test split was opened once."""
    monkeypatch.setattr(module, "all_accesses", lambda client: [ACCESS])
    monkeypatch.setattr(module, "all_claims", lambda client: [])


@pytest.mark.usefixtures("accessed")
def test_an_access_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    older = replace(ACCESS, when=None, who=None, study=None, result={}, again=False)
    monkeypatch.setattr(module, "all_accesses", lambda client: [ACCESS, older])
    title, *lines, last = run("ledger").stdout.splitlines()
    assert title == "accesses to the test split"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [
        ["1, again", "2026-01-02 03:04", "ann", "aaaaaaaa", "study", "AUC 0.7500"],
        ["2", "", "", "aaaaaaaa", "", ""],
    ]
    assert "older than the access log" in last


@pytest.mark.usefixtures("accessed")
def test_json_has_all_of_an_access() -> None:
    (document,) = json.loads(run("ledger", "--json").stdout)["openings"]
    assert document["run_id"] == ACCESS.run_id
    assert (document["study"], document["result"], document["again"]) == ("study", ACCESS.result, True)


def test_no_access_is_said(tracking: Path) -> None:
    assert len(run("ledger").stdout.splitlines()) == 1
    assert json.loads(run("ledger", "--json").stdout) == {"openings": [], "claims": []}


def test_a_study_that_is_not_there(tracking: Path) -> None:
    assert_one_line("ledger", "none", wants="'none'")
