"""Reaching MLflow: quickly, without leaving things behind, and never showing a password."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from helpers.servers import MlflowServer

from mobilenet_chest import logs
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.store import (
    all_experiment_ids,
    check_reachable,
    connect,
    experiment_id,
    masked,
    reason,
    tracking_uri,
    wait_reachable,
)


def refusal(uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The message of the TrackingError, which must come quickly."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    started = time.perf_counter()
    with pytest.raises(TrackingError) as caught:
        connect()
    assert time.perf_counter() - started < 10
    return str(caught.value)


class Handler(BaseHTTPRequestHandler):
    """Healthy, but good for nothing else."""

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        status = server.health if self.path.endswith("/health") else server.status
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    health = 200
    status = 404

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection closed on purpose."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# --- it works ------------------------------------------------------------------------------------------------------


def test_a_database(tracking: Path) -> None:
    assert tracking_uri() == f"sqlite:///{tracking / 'mlflow.db'}"
    client = connect()
    first = experiment_id(client, "chest")
    assert experiment_id(client, "chest") == first
    assert set(all_experiment_ids(client)) == {"0", first}
    client.delete_experiment(first)
    assert all_experiment_ids(client) == ["0"]
    with pytest.raises(TrackingError, match="'chest' .*`mlflow experiments restore`"):
        experiment_id(client, "chest")


def test_looking_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'fresh.db'}")
    check_reachable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_server_answers_to_its_own_name_only(
    mlflow_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mlflow_server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    assert all_experiment_ids(connect()) == ["0"]
    assert requests.get(f"{server.uri}/health", headers={"Host": "elsewhere.example"}, timeout=5).status_code == 200
    other = requests.get(
        f"{server.uri}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=Default",
        headers={"Host": "elsewhere.example"},
        timeout=5,
    )
    assert other.status_code == 403


# --- it does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["/sys", "/proc", "/nowhere"])
def test_folders_that_cannot_be_written(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(f"sqlite:///{folder}/mlflow.db", monkeypatch)
    for fact in (f"mlflow.db in {folder} (", "MLFLOW_TRACKING_URI"):
        assert fact in line


def test_a_file_that_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    assert "mlflow.db is not an SQLite database; move it away" in refusal(
        f"sqlite:///{tmp_path / 'mlflow.db'}", monkeypatch
    )
    (tmp_path / "folder.db").mkdir()
    assert "Is a directory" in refusal(f"sqlite:///{tmp_path / 'folder.db'}", monkeypatch)


@pytest.mark.parametrize("uri", ["mlruns", "file:///mlruns"])
def test_the_file_store_is_gone(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(uri, monkeypatch)
    for fact in (f"MLFLOW_TRACKING_URI={uri}", "file store", "sqlite:///mlflow.db"):
        assert fact in line


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    line = refusal("http://127.0.0.1:9", monkeypatch)
    for fact in ("http://127.0.0.1:9 (ConnectionError)", "`mlflow server`", "MLFLOW_TRACKING_URI"):
        assert fact in line


def test_a_server_that_is_ill(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.health = 503
    line = refusal(f"http://{server.address}", monkeypatch)
    assert line == f"the tracking server at http://{server.address} answers HTTP 503; see its own log"


@pytest.mark.parametrize(
    ("status", "advice"),
    [(404, "no MLflow server"), (401, "MLFLOW_TRACKING_USERNAME"), (403, "--allowed-hosts"), (500, "its own log")],
)
def test_a_server_that_is_healthy_and_refuses_all_else(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    server.status = status
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{server.address}")
    with pytest.raises(TrackingError) as caught:
        check_reachable()
    assert str(caught.value).startswith(f"the tracking server at http://{server.address} answers HTTP {status}; ")
    assert advice in str(caught.value)


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://[1" in refusal("http://[1", monkeypatch)


# --- passwords -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://ann:s3cret@db:5432/runs", "postgresql://ann:***@db:5432/runs"),
        ("http://ann:s3cret@host", "http://ann:***@host"),
        ("postgresql://ann:s3/cr#et@db/runs", "postgresql://ann:***@db/runs"),
        ("postgresql://ann:s3@cret@db/runs", "postgresql://ann:***@db/runs"),
        ("postgresql+psycopg://ann:s3%40cret@db/runs", "postgresql+psycopg://ann:***@db/runs"),
        ("postgresql://db/runs?user=ann&password=s3cret", "postgresql://db/runs?user=ann&password=***"),
        ("postgresql://db/runs?sslpassword=s3%26cret&a=b", "postgresql://db/runs?sslpassword=***&a=b"),
        ("https://host/mlflow?access_token=s3cret#x", "https://host/mlflow?access_token=***#x"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://ann@db/runs", "postgresql://ann@db/runs"),
    ],
)
def test_addresses_as_shown(uri: str, expected: str) -> None:
    assert masked(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "http://ann:s3cret@127.0.0.1:9",
        "postgresql://ann:s3cret@127.0.0.1:9/runs",
        "postgresql://ann:s3/cret@127.0.0.1:9/runs",
        "mysql://ann:s3cret@127.0.0.1:9/runs",
        "ftp://ann:s3cret@127.0.0.1:9/runs",
    ],
)
def test_no_refusal_shows_a_password(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(uri, monkeypatch)
    assert "cret" not in line
    assert "ann:***@127.0.0.1:9" in line


@pytest.mark.parametrize("status", [404, 500, 0])
def test_no_error_of_mlflow_shows_a_password(server: Server, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status = status
    line = refusal(f"http://ann:s3cret@{server.address}", monkeypatch)
    assert "s3cret" not in line
    assert f"http://ann:***@{server.address}" in line


def test_waiting_for_a_server(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{server.address}")
    caplog.set_level(logging.INFO, logs.LOGGER)
    server.health, server.status = 503, 200
    with pytest.raises(TrackingError, match="HTTP 503"):
        wait_reachable(0.0)
    assert caplog.records == []
    timer = threading.Timer(0.3, setattr, (server, "health", 200))
    timer.start()
    wait_reachable(60.0)
    timer.join()
    (record,) = caplog.records
    assert (record.levelname, "60 s" in record.message) == ("INFO", True)
    assert f"http://{server.address} answers HTTP 503" in record.message


def test_a_password_in_the_query() -> None:
    assert masked("postgresql://host/db?user=me&password=secret&x=1") == "postgresql://host/db?user=me&password=***&x=1"


def test_a_reason_is_short_and_without_password() -> None:
    text = reason(ValueError("no http://me:secret@host/ " + "x" * 1000 + "\nmore"))
    assert "secret" not in text
    assert len(text) <= 301
