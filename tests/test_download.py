"""Downloads from a real server on this machine: resumed, done once, and never believed without their checksum."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.downloads import CONTENT, MD5, SHA256, Server

import mobilenet_chest
from mobilenet_chest import download
from mobilenet_chest.download import fetch, file_digest
from mobilenet_chest.errors import DataError


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy in between, and no waiting."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def refusal(url: str, target: Path, md5: str | None = MD5, timeout: float = 5.0) -> str:
    """The one-line message of the DataError of a fetch."""
    with pytest.raises(DataError) as caught:
        fetch(url, target, md5=md5, timeout=timeout)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- it works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("md5", "sha256_prefix"), [(MD5, None), (MD5.upper(), None), (None, SHA256[:8]), (MD5, SHA256), (None, None)]
)
def test_downloads_then_finds(server: Server, tmp_path: Path, md5: str | None, sha256_prefix: str | None) -> None:
    target = tmp_path / "new" / "folder" / "set.npz"
    for _ in range(2):
        assert fetch(server.url, target, md5=md5, sha256_prefix=sha256_prefix) == target
        assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert names(target.parent) == ["set.npz", "set.npz.lock"]


def test_an_existing_file_needs_neither_network_nor_lock(tmp_path: Path) -> None:
    target = tmp_path / "set.npz"
    target.write_bytes(CONTENT)
    assert fetch("http://127.0.0.1:9/set.npz", target, md5=MD5, sha256_prefix=SHA256[:8]) == target
    assert names(tmp_path) == ["set.npz"]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_file_digest(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(CONTENT)
    assert file_digest(path, algorithm) == {"md5": MD5, "sha256": SHA256}[algorithm]


def test_a_part_is_resumed(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "set.npz"
    (tmp_path / "set.npz.part").write_bytes(CONTENT[:123_456])
    fetch(server.url, target, md5=MD5)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=123456-"]
    assert server.sent == [len(CONTENT) - 123_456]
    assert names(tmp_path) == ["set.npz", "set.npz.lock"]


def test_a_server_without_range_starts_over(server: Server, tmp_path: Path) -> None:
    server.ignores_range = True
    (tmp_path / "set.npz.part").write_bytes(b"x" * 1000)
    assert fetch(server.url, tmp_path / "set.npz", md5=MD5).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]
    assert server.sent == [len(CONTENT)]


def test_a_part_beyond_the_end_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.npz.part").write_bytes(b"x" * len(CONTENT))
    assert fetch(server.url, tmp_path / "set.npz", md5=MD5).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-", None]  # 416, then the whole


def test_a_range_that_was_not_asked_for_starts_over(server: Server, tmp_path: Path) -> None:
    server.range_error = 7
    (tmp_path / "set.npz.part").write_bytes(CONTENT[:1000])
    assert fetch(server.url, tmp_path / "set.npz", md5=MD5).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


def test_a_connection_that_breaks_three_times_is_resumed(server: Server, tmp_path: Path) -> None:
    server.break_after = [200_000, 150_000, 0]
    assert fetch(server.url, tmp_path / "set.npz", md5=MD5).read_bytes() == CONTENT
    assert len(server.ranges) == 4
    assert server.ranges[0] is None
    starts = [int(asked[6:-1]) for asked in server.ranges[1:] if asked is not None]
    # What arrived is not asked for again, but for the piece that was being read.
    assert 200_000 - download.CHUNK_BYTES < starts[0] <= 200_000
    assert 150_000 - download.CHUNK_BYTES < starts[1] - starts[0] <= 150_000
    assert starts[2] == starts[1]
    assert server.sent[-1] == len(CONTENT) - starts[2]


def test_the_fourth_break_is_the_last_and_the_next_call_goes_on(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000] * 4
    target = tmp_path / "set.npz"
    message = refusal(server.url, target)
    assert "(the connection broke 4 times in mid-file)" in message
    assert len(server.ranges) == 4
    assert not target.exists()
    kept = (tmp_path / "set.npz.part").stat().st_size
    assert 4 * (100_000 - download.CHUNK_BYTES) < kept <= 400_000
    assert fetch(server.url, target, md5=MD5).read_bytes() == CONTENT
    assert server.ranges[4:] == [f"bytes={kept}-"]


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "set.npz"
    server.go_on.clear()
    code = (
        "from pathlib import Path; from mobilenet_chest.download import fetch; print('up', flush=True);"
        f"print(fetch({server.url!r}, Path({str(target)!r}), md5={MD5!r}))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(mobilenet_chest.__path__[0]).parent)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    time.sleep(0.3)  # both are in fetch: one has asked, or is about to, and the other waits for it
    server.go_on.set()
    for process in processes:
        assert process.communicate(timeout=20)[0] == f"{target}\n"
        assert process.returncode == 0
    assert server.ranges == [None]
    assert target.read_bytes() == CONTENT


def test_threads_download_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "set.npz"
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch(server.url, target, sha256_prefix=SHA256[:8])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert paths == [target] * 4
    assert server.ranges == [None]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_goes_to_a_terminal_only(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(server.url, tmp_path / "first.npz")
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fetch(server.url, tmp_path / "second.npz")
    assert "second.npz" in terminal.getvalue()
    assert "500.0" in terminal.getvalue()  # kB
    assert capsys.readouterr().out == ""


# --- it does not ---------------------------------------------------------------------------------------------------


def test_wrong_bytes_are_removed(server: Server, tmp_path: Path) -> None:
    wrong = "0" * 32
    message = refusal(server.url, tmp_path / "set.npz", md5=wrong)
    assert message.startswith(f"set.npz from {server.url} ")
    assert f"md5 should be {wrong} but is {MD5}" in message
    assert str(tmp_path / "set.npz") in message
    assert names(tmp_path) == ["set.npz.lock"]


def test_wrong_sha256_of_a_resumed_part(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.npz.part").write_bytes(b"from another version")
    with pytest.raises(DataError, match=rf"set\.npz .*sha256 .*{SHA256[:8]} .*\b[0-9a-f]{{64}}\b"):
        fetch(server.url, tmp_path / "set.npz", sha256_prefix=SHA256[:8])
    assert names(tmp_path) == ["set.npz.lock"]
    assert fetch(server.url, tmp_path / "set.npz", sha256_prefix=SHA256[:8]).read_bytes() == CONTENT


def test_an_existing_wrong_file_is_left_alone(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "set.npz"
    target.write_bytes(b"mine")
    message = refusal(server.url, target)
    assert message.startswith(f"{target} ")
    assert f"md5 should be {MD5} but is {hashlib.md5(b'mine').hexdigest()}" in message
    assert target.read_bytes() == b"mine"
    assert server.ranges == []


def test_an_existing_folder_is_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "set.npz").mkdir()
    message = refusal("http://127.0.0.1:9/", tmp_path / "set.npz")
    assert message.startswith(f"{tmp_path / 'set.npz'} cannot be read (Is a directory)")


@pytest.mark.parametrize(("status", "phrase"), [(404, "HTTP 404 Not Found"), (503, "HTTP 503 Service Unavailable")])
def test_an_http_error(server: Server, tmp_path: Path, status: int, phrase: str) -> None:
    server.status = status
    (tmp_path / "set.npz.part").write_bytes(CONTENT[:1000])
    message = refusal(server.url, tmp_path / "set.npz")
    assert message == (
        f"set.npz is missing and cannot be downloaded ({phrase}); try again (what has arrived is kept), or get "
        f"{server.url} by hand and put it at {tmp_path / 'set.npz'}"
    )
    assert len(server.ranges) == 1
    assert (tmp_path / "set.npz.part").read_bytes() == CONTENT[:1000]


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/set.npz"
        message = refusal(url, tmp_path / "set.npz")
    assert message == (
        "set.npz is missing and cannot be downloaded (no connection: ConnectionError); try again (what has arrived is "
        f"kept), or get {url} by hand and put it at {tmp_path / 'set.npz'}"
    )


def test_a_server_that_does_not_answer(server: Server, tmp_path: Path) -> None:
    server.go_on.clear()
    assert "(no answer within 0.2 s)" in refusal(server.url, tmp_path / "set.npz", timeout=0.2)


def test_a_folder_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    message = refusal(server.url, tmp_path / "folder" / "set.npz")
    assert message.startswith(f"cannot write set.npz in the folder {tmp_path / 'folder'} (")
    assert server.ranges == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write: Linux's /sys")
def test_a_read_only_folder(server: Server) -> None:
    message = refusal(server.url, Path("/sys") / "set.npz")
    assert message.startswith("cannot write set.npz in the folder /sys (")


def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        message = refusal(server.url, tmp_path / "set.npz")
    assert message == (
        f"cannot write set.npz in the folder {tmp_path} (No space left on device); make the folder writable, free some "
        "space, or choose another"
    )
    assert not (tmp_path / "set.npz").exists()
