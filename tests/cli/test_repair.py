"""``repair``: what it prints, and its exit code when something is still pending."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.commands import run

from mobilenet_chest.cli import repair as module


def test_nothing_to_repair(tracking: Path) -> None:
    result = run("repair")
    assert (result.exit_code, result.stdout) == (0, "nothing to repair\n")
    assert json.loads(run("repair", "--json").stdout) == {"done": []}


def test_what_was_done_is_listed(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storages: list[str | None] = []

    def reconcile(storage: str | None) -> list[str]:
        storages.append(storage)
        return ["trial 3: queued again"]

    monkeypatch.setattr(module, "reconcile", reconcile)
    assert run("repair", "--storage", "sqlite:///other.db").stdout == "trial 3: queued again\n"
    assert json.loads(run("repair", "--json").stdout) == {"done": ["trial 3: queued again"]}
    assert storages == ["sqlite:///other.db", None]


def test_pending_writes_are_exit_code_1(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "reconcile", lambda storage: [])
    monkeypatch.setattr(module, "process_outbox", lambda: SimpleNamespace(pending=lambda: ["a journal"]))
    monkeypatch.setattr(module, "pending_summary", lambda pending: f"{len(pending)} pending")
    result = run("repair")
    assert (result.exit_code, result.stderr) == (1, "1 pending\n")
