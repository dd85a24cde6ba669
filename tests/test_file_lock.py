"""A lock is waited for while it is needed and its holder's heartbeat goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mobilenet_chest import file_lock


def test_heartbeats_change_the_file_beside_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "HEARTBEAT_SECONDS", 0.05)
    seen = set()
    with file_lock.heartbeat(tmp_path / "a.lock"):
        deadline = time.monotonic() + 30
        while len(seen) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
            seen |= {path.read_text() for path in tmp_path.iterdir()} - {""}
    assert len(seen) >= 4
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_no_longer_needed(tmp_path: Path) -> None:
    held = file_lock.acquire(tmp_path / "a.lock", unneeded=lambda: False)
    assert held is not None
    asked = iter([False, True])
    assert file_lock.acquire(tmp_path / "a.lock", unneeded=lambda: next(asked)) is None
    held.release()
    again = file_lock.acquire(tmp_path / "a.lock", unneeded=lambda: False)
    assert again is not None
    again.release()
