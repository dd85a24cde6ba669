"""``ledger``: what it prints for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import ledger as module
from mobilenet_chest.selection.ledger import Access, access_lines

ACCESS = Access("a" * 32, "study", "2026-01-02T03:04:05", "0123", "ann", {"test_auc_tta": 0.75}, again=True)


@pytest.fixture
def accessed(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test split was opened once."""
    monkeypatch.setattr(module, "all_accesses", lambda client: [ACCESS])


@pytest.mark.usefixtures("accessed")
def test_an_access_is_a_line() -> None:
    heading, *lines = run("ledger").stdout.splitlines()
    assert not heading.startswith(" ")
    assert lines == [f"  {text}" for text in access_lines([ACCESS])]


@pytest.mark.usefixtures("accessed")
def test_json_has_all_of_an_access() -> None:
    (document,) = json.loads(run("ledger", "--json").stdout)["openings"]
    assert document["run_id"] == ACCESS.run_id
    assert (document["study"], document["result"], document["again"]) == ("study", ACCESS.result, True)


def test_no_access_is_said(tracking: Path) -> None:
    assert len(run("ledger").stdout.splitlines()) == 1
    assert json.loads(run("ledger", "--json").stdout) == {"openings": []}


def test_a_study_that_is_not_there(tracking: Path) -> None:
    assert_one_line("ledger", "none", wants="'none'")
