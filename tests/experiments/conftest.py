"""What the tests of scripts share."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that the file of tests is named after; scripts beside it can be imported."""
    name = request.path.stem.removeprefix("test_")
    (path,) = EXPERIMENTS.glob(f"*/{name}.py")
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    return importlib.import_module(name)
