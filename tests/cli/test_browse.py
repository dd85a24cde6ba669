"""``browse``: the right page, and a server that ends with the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests
from helpers.commands import assert_one_line, run
from helpers.stores import STUDY, Store

from mobilenet_chest.cli import browse as command
from mobilenet_chest.cli.browse import browse_hint
from mobilenet_chest.tracking import view

SCRIPT = "from mobilenet_chest.cli import main; main()"
SERVER = "http://127.0.0.1:1"


def test_a_server_of_the_user_s_own_is_opened_and_not_started(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(command, "server_address", lambda: SERVER)
    monkeypatch.setattr(command, "ui_server", None)
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    result = run("browse", STUDY)
    assert result.exit_code == 0
    (address,) = result.stdout.split()
    assert address.startswith(f"{SERVER}/#/experiments/")
    assert "viewStateShareKey" in address
    assert opened == [address]
    assert run("browse", STUDY, "--no-open").stdout == result.stdout
    assert len(opened) == 1


def test_without_a_display_nothing_is_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "server_address", lambda: SERVER)
    monkeypatch.setattr(command.webbrowser, "open", lambda address: pytest.fail(address))
    monkeypatch.setattr(command.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert run("browse", store.single).exit_code == 0


def test_a_wrong_name_is_said_before_a_server_is_started(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ui_server", None)
    result = run("browse", "no-such-study")
    assert result.exit_code == 2
    assert STUDY in result.stderr


def test_the_hint_names_the_page_or_the_command(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert browse_hint(STUDY) == f"mobilenet-chest browse {STUDY}"
    assert browse_hint("my study") == "mobilenet-chest browse 'my study'"
    monkeypatch.setattr(command, "server_address", lambda: SERVER)
    assert browse_hint(STUDY).endswith(f"viewStateShareKey={view.view_id(STUDY)}")
    assert browse_hint("not there") == "mobilenet-chest browse 'not there'"


def _as_in_a_terminal() -> None:
    """Take signals as a program in a terminal does: background jobs ignore some, and so would their children."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_it_is_stopped_and_leaves_no_process(store: Store, number: signal.Signals) -> None:
    with Path("log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, "browse", "--no-open"], stdout=subprocess.PIPE,
                                   stderr=log, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
                                   preexec_fn=_as_in_a_terminal)  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    assert not [child for child in started if "mlflow.db" in " ".join(child.cmdline())]
    base = address.partition("/#")[0]
    assert requests.get(base, timeout=20).status_code == 200
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0, Path("log").read_text()
    deadline = time.monotonic() + 10
    while any(child.is_running() for child in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(child.is_running() for child in started)


def test_a_port_that_is_taken_is_one_line(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line("browse", "--no-open", "--port", port, wants=str(port))
