"""A store that this user can only read: what reads goes on, what would write is refused in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from helpers import forked
from helpers.browsers import answers, until
from helpers.registry import Promoted
from helpers.stores import Store

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.logs import FILE_VARIABLE
from mobilenet_chest.tracking import store as store_module
from mobilenet_chest.tracking.store import connect, is_read_only

SECONDS = 120

CAPABILITIES = "-dac_override,-dac_read_search,-fowner,-chown"
"""Without them, permissions count for root too."""


def test_a_store_that_can_only_be_read_is_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_read_only()
    real, own = os.access, str(store.folder)
    monkeypatch.setattr(store_module.os, "access", lambda path, mode, **more: real(path, mode, **more) and not (
        mode & os.W_OK and str(path).startswith(own)))  # fmt: skip
    assert is_read_only()
    assert connect(to_read=True).get_run(store.single).info.run_id == store.single
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store.folder / 'missing' / 'mlflow.db'}")
    assert not is_read_only()
    with pytest.raises(TrackingError):
        connect(to_read=True)


@pytest.fixture
def unprivileged(promoted: Promoted, tmp_path: Path) -> Iterator[list[str]]:
    """Words before a command that make it see the store as another user's, which it cannot write."""
    store, _ = promoted
    words: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can write everywhere, and setpriv is not installed")
        words = ["setpriv", f"--bounding-set={CAPABILITIES}"]
    paths = [store.folder, *store.folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
        if words:
            os.chown(path, 65534, 65534)
    if subprocess.run([*words, "touch", str(store.folder / "new")], capture_output=True).returncode == 0:
        pytest.skip("permissions do not count here")
    yield words
    for path in paths:
        path.chmod(path.stat().st_mode | 0o700)


@pytest.fixture
def asked(unprivileged: list[str]) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs commands that see the store as another user's."""
    server = forked.Server(*unprivileged)

    def ask(*command: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "mobilenet_chest", *map(str, command)]
        return forked.run(words, server=server, text=True, timeout=SECONDS)

    yield ask
    server.end()


@pytest.mark.slow
def test_what_reads_goes_on_and_what_writes_is_refused(
    asked: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    films, out = tmp_path / "films.npy", tmp_path / "out.csv"
    np.save(films, np.random.default_rng(0).integers(0, 256, (3, 40, 40), np.uint8))
    for command in (
        ("compare", "dropout-study"),
        ("points", "dropout-study"),
        ("ledger", "dropout-study"),
        ("report", "dropout-study", "--out", tmp_path / "page.html"),
        ("predict", "models:/tiny@champion", films, "--out", out),
    ):
        done = asked(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert len(out.read_text().splitlines()) == 4
    for command in (
        ("promote", "dropout-study"),
        ("evaluate", "dropout-study", "--split", "val"),
        ("predict", "models:/tiny@champion", "chest.npz", "--out", out),  # rows of the sealed test split
    ):
        done = asked(*command)
        assert done.returncode == 2, (command, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
    doctor = asked("doctor")
    assert doctor.returncode == 1
    assert "Traceback" not in doctor.stderr


@pytest.mark.slow
def test_a_server_needs_to_write_nothing_but_its_log(unprivileged: list[str], tmp_path: Path) -> None:
    log = tmp_path / "log" / "server.log"
    log.parent.mkdir()
    command = [*unprivileged, sys.executable, "-m", "mobilenet_chest", "serve", "tiny@champion", "--port", "0"]
    environment = os.environ | {FILE_VARIABLE: str(log), "TMPDIR": str(log.parent)}
    film = tmp_path / "film.npy"
    np.save(film, np.zeros((40, 40), np.uint8))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stderr is not None
            said = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())
            assert said is not None, server.stderr.read()
            address = f"http://127.0.0.1:{said[1]}"
            until(lambda: answers(f"{address}/readyz"), SECONDS, "readyz")
            (answer,) = requests.post(f"{address}/predict", data=film.read_bytes(), timeout=SECONDS).json()[
                "predictions"
            ]
            assert isinstance(answer["calibrated"], float)
            assert isinstance(answer["abstains"], bool)
            assert requests.get(f"{address}/version", timeout=SECONDS).json()["problem"] is None
        finally:
            server.terminate()
        assert server.wait(SECONDS) == 0
    assert log.exists()
