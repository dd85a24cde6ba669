"""``soup``: what it prints, and runs that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import soup as module
from mobilenet_chest.combine.ensemble import Combined
from mobilenet_chest.evaluation.intervals import Interval

SOUP = Combined("s" * 32, ["a" * 32, "b" * 32], {"val_auc": 0.9}, {"val_auc": Interval(0.9, 0.8, 0.95)})


def test_members_and_the_next_command(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_candidates", lambda references, top: references)
    monkeypatch.setattr(module, "average_weights", lambda candidates: SOUP)
    lines = run("soup", "a", "b").stdout.splitlines()
    assert f"soup of 2, run {'s' * 8}" in lines[0]
    assert any("0.9000 (0.800–0.950)" in line for line in lines)
    assert lines[-2:] == [f"members: {'a' * 8}, {'b' * 8}", f"promote: mobilenet-chest promote {'s' * 8}"]
    assert json.loads(run("soup", "a", "--json").stdout) == {
        "run_id": "s" * 32,
        "members": ["a" * 32, "b" * 32],
        "metrics": {"val_auc": 0.9},
        "intervals": {"val_auc": [0.8, 0.95]},
    }


def test_a_run_that_is_not_there(tracking: Path) -> None:
    assert_one_line("soup", "none", wants="'none'")
