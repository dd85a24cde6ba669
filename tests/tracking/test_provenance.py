"""Processes told apart: the living, the dead, and those of which nobody here can know."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import psutil
import pytest
import torch

from mobilenet_chest.processor import cores
from mobilenet_chest.tracking.provenance import hardware, identity, may_be_alive, software


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


def test_software_and_hardware_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert software().startswith(f"Python {platform.python_version()}, torch {version('torch')}, ")
    assert hardware("cpu") == f"{platform.machine()}, {cores()} cores"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    assert hardware("cpu") == f"{platform.machine()}, {cores()} cores"
    assert hardware("auto").endswith(" cores, GPU cuda")
    assert hardware("cuda:1").endswith(" cores, GPU cuda:1")
