"""The real command in a process of its own: it starts, follows its alias, and stops without losing a request."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pandas as pd
import pytest
import requests
from helpers.brightness import BRIGHT, flat
from helpers.browsers import until
from helpers.commands import assert_one_line
from helpers.load import SECONDS, Clients
from helpers.pictures import encoded
from helpers.served import served
from mlflow import MlflowClient

from mobilenet_chest.deploy.answer_log import AnswerLog, read
from mobilenet_chest.deploy.identities import Identities
from mobilenet_chest.deploy.serving.server import bound_listener

FILM = encoded(flat(BRIGHT)[0])


@pytest.mark.slow
def test_ten_promotions_under_load_lose_no_request(versions: MlflowClient) -> None:
    with served("gray@champion") as (_, port):
        clients = Clients(port, FILM)
        with clients.busy(4):
            for number in range(10):
                wanted = str(2 - number % 2)
                versions.set_registered_model_alias("gray", "champion", wanted)
                until(lambda wanted=wanted: clients.versions[-1:] == [wanted], SECONDS, f"version {wanted}")
    assert clients.lost == []
    assert set(clients.statuses) == {200}
    assert clients.versions[-10:] == ["2", "1"] * 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_under_load_loses_no_request(versions: MlflowClient, number: signal.Signals) -> None:
    with served("gray@champion") as (process, port):
        clients = Clients(port, FILM)
        with clients.busy(6):
            until(lambda: clients.statuses[200] > 50, SECONDS, "answers")
            process.send_signal(number)
            assert process.wait(timeout=SECONDS) == 0, Path("log").read_text()
    assert clients.lost == []
    assert set(clients.statuses) == {200}


@pytest.mark.slow
def test_three_times_more_than_it_can_do_is_refused_and_forgotten(versions: MlflowClient) -> None:
    with served("gray@champion", "--max-waiting", "2", "--max-batch", "1") as (process, port):
        clients = Clients(port, FILM)
        with clients.busy(12):
            until(lambda: clients.statuses[429] > 50 and clients.statuses[200] > 50, 2 * SECONDS, "refusals")
        assert clients.lost == []
        assert set(clients.statuses) == {200, 429}
        started = time.monotonic()
        assert requests.post(f"http://127.0.0.1:{port}/predict", data=FILM, timeout=SECONDS).ok
        assert time.monotonic() - started < 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 0


@pytest.mark.slow
def test_a_server_that_is_killed_under_load_has_logged_every_answer_that_it_gave(
    versions: MlflowClient,
) -> None:
    with served("gray@champion", "--shadow", "gray/2", "--log-dir", "logs") as (process, port):
        clients = Clients(port, FILM)
        with clients.busy(6):
            until(lambda: clients.statuses[200] > 200, 3 * SECONDS, "answers")
            process.kill()
            process.wait(timeout=SECONDS)
    assert len(clients.requests) == clients.statuses[200]
    rows = read("gray", None, Path("logs"))
    hashes = set(rows.loc[rows["arm"] == "champion", "request"])
    identities = Identities(Path("logs"))
    assert {identities.request(name) for name in clients.requests} <= hashes
    AnswerLog("gray", Path("logs")).close()
    assert not list(Path("logs/gray").glob("*.journal"))
    pd.testing.assert_frame_equal(read("gray", None, Path("logs")), rows)


@pytest.mark.slow
def test_a_stop_under_load_logs_every_answer(versions: MlflowClient) -> None:
    with served("gray@champion", "--challenger", "gray/2", "--share", "0.5", "--log-dir", "logs") as (process, port):
        clients = Clients(port, FILM)
        with clients.busy(6):
            until(lambda: clients.statuses[200] > 100, 3 * SECONDS, "answers")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=SECONDS) == 0, Path("log").read_text()
    assert clients.lost == []
    assert [path.suffix for path in Path("logs/gray").iterdir()] == [".parquet"]
    rows = read("gray", None, Path("logs"))
    assert len(rows) == clients.statuses[200]
    assert set(rows["arm"]) == {"champion", "challenger"}
    assert set(rows["share"]) == {0.5}


def test_connections_are_known_as_tcp_so_that_answers_are_sent_at_once() -> None:
    with bound_listener("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_what_cannot_be_served_is_one_line(models: dict[str, str], tmp_path: Path) -> None:
    assert_one_line("serve", "nothing@champion", wants="models:/nothing@champion")
    assert_one_line("serve", "gray/1", "--host", "0.0.0.0", wants="--token-file")
    assert_one_line("serve", "gray/1", "--max-batch", "0", wants="--max-batch 0")
    assert_one_line("serve", "gray/1", "--workers", "0", wants="--workers 0")
    assert_one_line("serve", "gray/1", "--challenger", "nothing@champion", wants="models:/nothing@champion")
    assert_one_line("serve", "gray/1", "--challenger", "gray/1", "--share", "1", wants="--share 1")
    assert_one_line("serve", "gray/1", "--shadow", "gray/1", "--share", "0.5", wants="--challenger")
    assert_one_line("serve", "gray/1", "--shadow", "gray/1", "--challenger", "gray/1", wants="--shadow")
    assert_one_line("serve", "gray/1", "--shadow", "colour/1", "--log-dir", tmp_path / "mlflow.db", wants="mlflow.db")
    token = tmp_path / "token"
    assert_one_line("serve", "gray/1", "--token-file", token, wants=str(token))
    token.write_text("short")
    assert_one_line("serve", "gray/1", "--token-file", token, wants="16")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line("serve", "gray/1", "--port", port, wants=str(port))
