"""``distill``: what it prints, and teachers that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.commands import Write, assert_one_line, run

from mobilenet_chest.cli import distill as module


def test_the_next_command_compares_with_the_teacher(
    folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SimpleNamespace(metrics={"val_auc": 0.91}, tags={"teacher": "t" * 32})
    student = SimpleNamespace(run_id="s" * 32, run=SimpleNamespace(data=data))
    monkeypatch.setattr(module, "train_student", lambda config, teacher, display: student)
    lines = run("distill", written(), "--teacher", "my-study").stdout.splitlines()
    assert "my-study: val_auc 0.9100" in lines[0]
    assert lines[1].endswith(f"mobilenet-chest compare {'s' * 8} --baseline {'t' * 8}")
    assert json.loads(run("distill", written(), "--teacher", "my-study", "--json").stdout) == {
        "run_id": "s" * 32,
        "teacher": "t" * 32,
        "metrics": {"val_auc": 0.91},
    }


def test_a_teacher_that_is_not_there(tracking: Path, written: Write) -> None:
    assert_one_line("distill", written(), "--teacher", "none", wants="'none'")


def test_a_weight_without_a_teacher(tracking: Path, written: Write) -> None:
    assert_one_line("train", written(), "loss.distill_weight=0.5", wants="loss.distill_weight")
