"""Asking a tracking server as MLflow's client asks it: with its certificates, its user and its time limits."""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.server import is_server
from mobilenet_chest.tracking.store import check_reachable


class Handler(BaseHTTPRequestHandler):
    """A server that knows one user, and answers searches of experiments."""

    def do_GET(self) -> None:
        self.answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.delay)  # type: ignore[attr-defined]
        user = base64.b64encode(b"ann:s3cret").decode()
        self.answer(200 if self.headers.get("Authorization") in (f"Basic {user}", "Bearer t0ken") else 401)

    def answer(self, status: int) -> None:
        self.server.answered.append(status)  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    delay = 0.0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.answered = list[int]()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust the certificate closes the connection."""


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An HTTPS server, which MLFLOW_TRACKING_URI names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal() -> str:
    with pytest.raises(TrackingError) as caught:
        check_reachable()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_certificate_that_is_not_trusted(server: Server) -> None:
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in refusal()


def test_the_settings_of_mlflow_count(server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    assert "HTTP 401; set MLFLOW_TRACKING_USERNAME" in refusal()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert "HTTP 401" in refusal()
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    check_reachable()
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    check_reachable()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_may_go_unchecked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    check_reachable()
    before = list(server.answered)
    assert set(before) == {200}
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "false")
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in refusal()
    assert server.answered == before


def test_settings_that_exclude_each_other(server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    assert "cannot be asked" in refusal()


def test_a_certificate_that_is_not_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/ca.pem")
    assert "/nowhere/ca.pem" in refusal()


def test_the_users_time_limit_counts(server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    server.delay = 1.5
    assert "no tracking server answers" in refusal()


def test_addresses_of_servers() -> None:
    assert [is_server(uri) for uri in ("http://a", "HTTPS://a/b", "http://[1")] == [True] * 3
    assert [is_server(uri) for uri in ("sqlite:///http", "mlruns", "file:///http")] == [False] * 3
