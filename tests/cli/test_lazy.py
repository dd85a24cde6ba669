"""Imports that wait until a name is used."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.cli import lazy
from mobilenet_chest.cli.lazy import LazyName, lazy_imports, load_command

MODULE = "mobilenet_chest.cli.example"
SOURCE = """
import json
import subprocess
import numpy as np
from mobilenet_chest import cache
from mobilenet_chest.config.formats import number
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.intervals import LEVEL, Interval
from mobilenet_chest.nowhere import nothing

def example(value: float = 2.5) -> None:
    \"\"\"Print a number.\"\"\"
    print(number(value), np.zeros(2).tolist(), cache.FOLDER_VARIABLE)
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A command's file, imported as a group imports it."""
    (tmp_path / "example.py").write_text(SOURCE)
    package = import_module("mobilenet_chest.cli")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with lazy_imports():
        module = import_module(MODULE)
    yield module
    del sys.modules[MODULE]


def test_names_of_the_package_are_imported_when_they_are_used(example: Any) -> None:
    assert isinstance(example.number, LazyName)
    assert example.number(0.25) == "0.25"
    assert example.np.zeros(2).tolist() == [0, 0]
    assert example.cache.FOLDER_VARIABLE == "MOBILENET_CHEST_CACHE"  # a module, not a name of the package
    interval = example.Interval(0.5, 0.4, 0.6)
    assert isinstance(interval, example.Interval)
    assert not isinstance(0.5, example.Interval)


def test_errors_and_the_standard_library_are_imported_at_once(example: Any) -> None:
    """An ``except`` clause takes classes only."""
    assert issubclass(example.UserError, Exception)
    assert example.json is json


def test_constants_are_imported_at_once(example: Any) -> None:
    assert {example.LEVEL: "a key"} == {0.95: "a key"}


def test_what_is_not_there_is_told_when_it_is_used(example: Any) -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        example.nothing()


def test_only_files_of_commands_import_lazily_and_only_in_the_block() -> None:
    ordinary = builtins.__import__
    with lazy_imports():
        from mobilenet_chest.config.formats import number
    assert not isinstance(number, LazyName)
    assert builtins.__import__ is ordinary
    with pytest.raises(RuntimeError), lazy_imports():
        raise RuntimeError
    assert builtins.__import__ is ordinary


@pytest.mark.usefixtures("example")
def test_a_command_is_made_of_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load_command(MODULE)(["--value", "1.5"], prog_name="example")
    assert end.value.code == 0
    assert capsys.readouterr().out == "1.5 [0.0, 0.0] MOBILENET_CHEST_CACHE\n"


def test_light_modules_import_nothing_heavy() -> None:
    assert all(not lazy._is_heavy(module) for module in (*lazy.LIGHT, "mobilenet_chest.cli.sweep", "typer"))
    assert all(map(lazy._is_heavy, ("mobilenet_chest", "mobilenet_chest.config", "mobilenet_chest.errors_", "torch")))


LOAD_ALL = """
import inspect, pkgutil
from importlib import import_module
from mobilenet_chest import cli
from mobilenet_chest.cli.lazy import LazyName, lazy_imports

with lazy_imports():
    modules = [import_module(each.name) for each in pkgutil.walk_packages(cli.__path__, "mobilenet_chest.cli.")]
lazy = [(module, name, value) for module in modules for name, value in vars(module).items()
        if isinstance(value, LazyName)]
print(len(lazy))
for module, name, value in lazy:
    loaded = value._load()
    if not (callable(loaded) or inspect.ismodule(loaded)):
        print(f"{module.__name__}: {name}")
"""


@pytest.mark.slow
def test_commands_import_no_constants_lazily() -> None:
    """A variable that is not in capitals would stay a stand-in. All names exist."""
    result = subprocess.run([sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=True)
    count, *constants = result.stdout.splitlines()
    assert int(count) > 50
    assert constants == []


def test_a_command_may_have_a_name_that_python_keeps_for_itself() -> None:
    assert load_command("mobilenet_chest.cli.data.import").name == "import"
