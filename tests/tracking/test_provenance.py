"""Processes told apart: the living, the dead, and those of which nobody here can know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mobilenet_chest.tracking import provenance
from mobilenet_chest.tracking.provenance import identity, may_be_alive
from mobilenet_chest.tracking.tags import GIT_DIRTY


def test_this_process_is_alive_and_others_are_told_apart() -> None:
    me = identity()
    assert me["pid"] == os.getpid()
    assert may_be_alive(me)
    assert may_be_alive({**me, "host": "elsewhere", "pid": 1, "started": 0.0})
    assert not may_be_alive({**me, "started": me["started"] - 1000})  # the same number, given to another process
    assert not may_be_alive(None)


def test_a_process_that_was() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = psutil.Process(process.pid).create_time()
        other = {**identity(), "pid": process.pid, "started": started}
        assert may_be_alive(other)
        process.communicate(b"\n")
    assert not may_be_alive(other)


def test_the_index_of_the_checkout_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes it locks it, and a lock that outlives a killed process stops every commit."""

    def git(*words: str) -> None:
        author = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    source = tmp_path / "provenance.py"
    source.write_text("one")
    git("init", "-q")
    git("add", source.name)
    git("commit", "-q", "-m", "first")
    os.utime(source, (1, 1))  # git status would note the new time in the index
    index = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setattr(provenance, "__file__", str(source))
    assert provenance.code_version.__wrapped__()[GIT_DIRTY] == "false"
    assert (tmp_path / ".git" / "index").read_bytes() == index
