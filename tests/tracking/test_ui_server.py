"""The server that ``browse`` starts: its port, its settings, and how it fails. ``tests/cli/test_browse.py`` runs it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.tracking import ui_server as module
from mobilenet_chest.tracking.ui_server import ui_server


@pytest.fixture
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store is looked at."""
    monkeypatch.setattr(module, "connect", lambda: None)


def test_a_port_is_free_or_the_one_that_is_wanted() -> None:
    free = module._port(None)
    assert 0 < free < 65536
    assert module._port(free) == free
    with socket.socket() as taken:
        taken.bind((module.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=str(port)):
            module._port(port)


def test_the_store_is_in_the_environment_and_the_user_s_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tracking_uri", lambda: "postgresql://me:secret@host/db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/db")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true")
    environment = module._environment()
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:secret@host/db"
    assert "MLFLOW_TRACKING_URI" not in environment
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "true"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.usefixtures("_no_store")
def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho one\necho 'no room here' >&2\nexit 3\n", encoding="utf-8")
    failing.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(failing))
    with pytest.raises(TrackingError, match="no room here"), ui_server():
        pytest.fail("it has started")


@pytest.mark.usefixtures("_no_store")
def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    silent.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(silent))
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    with pytest.raises(TrackingError, match="nothing"), ui_server():
        pytest.fail("it has started")
