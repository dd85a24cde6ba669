"""Passwords in the addresses of databases and servers are shown nowhere and kept nowhere."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.servers import MlflowServer
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.config import Config, to_yaml
from mobilenet_chest.errors import TrackingLost
from mobilenet_chest.tracking.store import as_tracking_lost

Make = Callable[..., Config]

SECRET = "hush@h4sh"  # with an at sign, so that an address holds it percent-encoded
ENCODED = "hush%40h4sh"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_password_in_an_address_stays_there(
    tracking: Path,
    mlflow_server: Callable[..., MlflowServer],
    phantom_config: Make,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Sweep, training, comparison, promotion, going back and refusals against a server whose address holds one."""
    server = mlflow_server(backend=f"sqlite:///{tracking / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("://", f"://ann:{ENCODED}@"))
    values = {
        "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
        "search": {"model.dropout": {"choices": [0.2]}},
        "study": {"trials": 1, "pruner": "none"},
    }
    experiment = tracking / "tiny.yaml"
    experiment.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    np.save(tracking / "images.npy", np.zeros((1, 8, 8), np.uint8))
    said = []
    for command, code in (
        (("sweep", str(experiment)), 0),
        (("train", str(experiment), "seed=8", "--dry-run"), 0),
        (("compare",), 0),
        (("promote", "tiny", "--json"), 0),
        (("promote", "--rollback", "tiny"), 3),
        (("promote", "nobody"), 2),
        (("promote", "0" * 32), 2),
        (("ensemble", "--top", "2", "nobody"), 2),
        (("predict", "models:/tiny@champion", "images.npy", "--out", "out.csv"), 0),
        (("predict", "models:/nobody@champion", "images.npy", "--out", "out.csv"), 2),
        (("repair",), 0),
        (("doctor",), None),
    ):
        result = run(*command)
        assert code is None or result.exit_code == code, (command, result.output, result.exception)
        said.append(result.output + "".join(traceback.format_exception(result.exception) if result.exception else []))
    captured = capfd.readouterr()
    text = "\n".join([*said, captured.out, captured.err])
    assert "champion" in text
    for path in [path for path in tracking.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert ENCODED.encode() not in content, path
    assert SECRET not in text
    assert ENCODED not in text


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://ann:{ENCODED}@127.0.0.1:9/x",
        f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:9/x",
        f"postgresql+psycopg://127.0.0.1:9/x?user=ann&password={ENCODED}",
        f"mysql://127.0.0.1/x?password={ENCODED}",
        f"nonsense:/x?password={ENCODED}",
        f"http://ann:{ENCODED}@127.0.0.1:9",
    ],
)
def test_no_refusal_shows_a_password(
    address: str, tracking: Path, phantom_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tracking / "tiny.yaml"
    experiment.write_text(to_yaml(phantom_config({"model.hidden": [8]})), encoding="utf-8")
    results = [run("sweep", str(experiment), "search.model.dropout={choices: [0.2]}", "--storage", address)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    results += [run("train", str(experiment)), run("promote", "tiny"), run("promote", "--rollback", "tiny")]
    for result in results:
        assert result.exit_code == 2, (result.output, result.exception)
        assert "hush" not in result.output
        assert "h4sh" not in result.output


class AliveOnly(BaseHTTPRequestHandler):
    """Says that it is alive, and hangs up on everything else."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()

    def do_POST(self) -> None: ...

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def dying_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address, with a password, of a tracking server that goes away after the first look at it."""
    with HTTPServer(("127.0.0.1", 0), AliveOnly) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        address = f"http://ann:{ENCODED}@127.0.0.1:{server.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield address
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "command",
    [
        ("sweep", "tiny.yaml", "search.model.dropout={choices: [0.2]}"),
        ("train", "tiny.yaml"),
        ("train", "tiny.yaml", "--resume", "0" * 32),
        ("compare",),
        ("evaluate", "0" * 32, "--split", "val"),
        ("promote", "tiny"),
        ("promote", "--rollback", "tiny"),
        ("predict", "models:/tiny@champion", "images.npy", "--out", "out.csv"),
        ("ensemble", "tiny", "--top", "2"),
        ("soup", "tiny", "--top", "2"),
        ("distill", "tiny.yaml", "--teacher", "0" * 32),
        ("repair",),
    ],
)
def test_a_server_that_goes_away_in_the_midst_of_a_command(
    command: tuple[str, ...], dying_server: str, tracking: Path, phantom_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dying_server)
    (tracking / "tiny.yaml").write_text(to_yaml(phantom_config({"model.hidden": [8]})), encoding="utf-8")
    np.save(tracking / "images.npy", np.zeros((1, 8, 8), np.uint8))
    result = run(*command)
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception  # and no traceback
    assert "http://ann:***@127.0.0.1:" in result.output
    assert SECRET not in result.output
    assert ENCODED not in result.output


def test_what_a_store_fails_with_is_one_line(dying_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(dying_server)
    with pytest.raises(MlflowException, match=ENCODED):  # what MLflow itself says
        client.search_registered_models()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dying_server)
    with (
        pytest.raises(TrackingLost, match=r"http://ann:\*\*\*@127.0.0.1:") as caught,
        as_tracking_lost(),
    ):
        client.search_registered_models()
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
