"""Processes told apart: the living, the dead, and those of which nobody here can know."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from mobilenet_chest.tracking.provenance import identity, may_be_alive


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
