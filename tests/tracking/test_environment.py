"""The packages and the processor of a run."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest
import torch

from mobilenet_chest.processor import cores
from mobilenet_chest.tracking.environment import hardware, software


def test_software_and_hardware_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert software().startswith(f"Python {platform.python_version()}, torch {version('torch')}, ")
    assert hardware("cpu") == f"{platform.machine()}, {cores()} cores"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    assert hardware("cpu") == f"{platform.machine()}, {cores()} cores"
    assert hardware("auto").endswith(" cores, GPU cuda")
    assert hardware("cuda:1").endswith(" cores, GPU cuda:1")
