"""Limits of MLflow's client, one thread at a time, and which errors mean that the store is away."""

from __future__ import annotations

import concurrent.futures
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.outbox.writes import send
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.store import connect, reason


@pytest.fixture
def client(tracking: Path) -> MlflowClient:
    return connect()


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def test_a_refusal_is_not_away(client: MlflowClient, run_id: str) -> None:
    send(client, run_id, {"params": {"seed": "7"}})
    for write in ({"metrics": [["a#b", 1.0, 1, 1]]}, {"params": {"seed": "8"}}):
        with pytest.raises(MlflowException) as caught:
            send(client, run_id, write)
        assert not is_away(caught.value)
    with pytest.raises(MlflowException) as caught:
        client.get_run("0" * 32)
    assert not is_away(caught.value)
    assert not is_away(OSError(28, "No space left on device"))
    assert not is_away(ValueError("a mistake in the program"))


@pytest.mark.slow
def test_a_locked_database_is_away(client: MlflowClient, run_id: str, tracking: Path) -> None:
    """MLflow waits for the lock for 20 s first."""
    other = sqlite3.connect(tracking / "mlflow.db")
    other.execute("BEGIN EXCLUSIVE")

    try:
        with pytest.raises(MlflowException) as caught:
            send(client, run_id, {"tags": {"a": "b"}})
    finally:
        other.close()
    assert is_away(caught.value)


class Handler(BaseHTTPRequestHandler):
    """Answers everything with the status in its server's hands; 0 closes the connection."""

    def do_POST(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        server = self.server
        assert isinstance(server, Answers)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.asked += 1
        status = 200 if server.asked <= server.well else server.status
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        body = server.body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "60")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


class Answers(ThreadingHTTPServer):
    daemon_threads = True
    status, body, asked = 200, "{}", 0
    well = 0  # how many requests are answered with 200 before the status counts

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection closed on purpose."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in [name for name in os.environ if name.startswith("MLFLOW_HTTP")]:
        monkeypatch.delenv(name)
    with Answers(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "away"),
    [
        (0, "", True),
        (500, "", True),
        (502, "<html>", True),
        (503, '{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "locked"}', True),
        (429, "", True),
        (400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}', False),
        (404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}', False),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "no"}', False),
        (401, "who are you?", False),
    ],
)
def test_what_a_server_answers(server: Answers, status: int, body: str, away: bool) -> None:
    """Soon: it is asked twice at most, and no Retry-After is waited for."""
    server.status, server.body = status, body
    client = MlflowClient(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(MlflowException) as caught, answer_within(2):
        send(client, "0" * 32, {"tags": {"a": "b"}})
    assert is_away(caught.value) is away
    assert server.asked in ((1, 2) if away else (1,))


def test_what_an_artifact_server_answers(server: Answers, tmp_path: Path) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    (tmp_path / "note.txt").write_text("x")
    repository = get_artifact_repository(f"http://127.0.0.1:{server.server_port}/files")
    for status, away in ((507, True), (503, True), (403, False), (413, False)):
        server.status = status
        with pytest.raises((MlflowException, requests.HTTPError)) as caught, answer_within(2):
            repository.log_artifact(str(tmp_path / "note.txt"))
        assert is_away(caught.value) is away, status


def test_nobody_at_the_port(server: Answers) -> None:
    server.server_close()
    client = MlflowClient(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(MlflowException) as caught, answer_within(2):
        client.get_run("0" * 32)
    assert is_away(caught.value)
    assert re.fullmatch(r"\[Errno \d+\] Connection refused", reason(caught.value))


def test_s3_without_a_server_in_between() -> None:
    config = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=2)
    s3 = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:9", config=config, region_name="x",
        aws_access_key_id="x", aws_secret_access_key="x",
    )  # fmt: skip
    with pytest.raises(botocore.exceptions.EndpointConnectionError) as caught:
        s3.put_object(Bucket="b", Key="k", Body=b"x")
    assert is_away(caught.value)
    for status, away in ((503, True), (403, False)):
        answer = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        assert is_away(botocore.exceptions.ClientError(answer, "PutObject")) is away


@pytest.fixture
def unlimited(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own limits, but that it tries again at once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


def asks(server: Answers) -> int:
    """How often MLflow's client asks a server that closes each connection before it gives up."""
    client, before = MlflowClient(f"http://127.0.0.1:{server.server_port}"), server.asked
    with pytest.raises(MlflowException):
        client.get_run("0" * 32)
    return server.asked - before


@pytest.mark.usefixtures("unlimited")
def test_each_thread_has_its_own_limits(server: Answers) -> None:
    """One thread leaves its block while another is in one: the other's limits stay, and no third thread has any."""
    server.status = 0
    entered, left = threading.Event(), threading.Event()

    def heartbeat() -> None:
        with answer_within(2, retries=0):
            entered.set()
            assert left.wait(10)  # until the other thread is in its block

    def training() -> int:
        assert entered.wait(10)
        with answer_within(2, retries=0):
            left.set()
            leaver.result(10)
            return asks(server)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        leaver = pool.submit(heartbeat)
        assert pool.submit(training).result(60) == 1
    with answer_within(2, retries=0), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(asks, server).result(60) == 1 + 7  # MLflow's own number of retries


@pytest.mark.usefixtures("unlimited")
def test_limits_end_with_their_block(server: Answers) -> None:
    server.status = 0
    with answer_within(2, retries=2):
        assert asks(server) == 3
    assert asks(server) == 8


@pytest.mark.usefixtures("unlimited")
def test_the_outermost_limits_count(server: Answers) -> None:
    server.status = 0
    with answer_within(2, retries=0), answer_within(None, retries=3):
        assert asks(server) == 1


@pytest.mark.usefixtures("unlimited")
def test_limits_give_way_to_the_user(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    server.status = 0
    before = dict(os.environ)
    with answer_within(2, retries=0):
        assert asks(server) == 4
        assert dict(os.environ) == before  # the process as a whole is as it was


@pytest.mark.usefixtures("unlimited")
def test_limits_count_in_the_threads_that_load_predictions(server: Answers, client: MlflowClient, run_id: str) -> None:
    """Files are fetched in threads of this package, and MLflow fetches each in a thread of its own."""
    server.status, server.well = 0, 1  # the list of files is answered, the file itself is not
    run = client.get_run(run_id)
    run.info._artifact_uri = f"http://127.0.0.1:{server.server_port}/api/2.0/mlflow-artifacts/artifacts/files"
    with answer_within(2, retries=1):
        stored = load_run_predictions([run])
    assert isinstance(stored[run_id], str)
    assert server.asked == 1 + 2


@pytest.mark.parametrize("from_user", [False, True])
def test_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch, from_user: bool) -> None:
    """MLflow reads its limits where this package puts them: this fails when a new version of MLflow does not."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if from_user:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = MlflowClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(MlflowException) as caught, answer_within(50 if from_user else 1, retries=0):
            client.get_run("0" * 32)
        assert time.monotonic() - started < 20  # MLflow's own limit: 120 s, eight times
    assert is_away(caught.value)
