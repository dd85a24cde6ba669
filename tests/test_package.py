"""The package's public names, which are imported when they are used."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers.commands import start

import mobilenet_chest


@pytest.mark.parametrize("name", mobilenet_chest.__all__)
def test_a_public_name_is_there_and_listed(name: str) -> None:
    found = getattr(mobilenet_chest, name)
    assert callable(found)
    assert found.__name__ == ("mobilenet_chest.sweep" if name == "sweep" else name)
    assert name in dir(mobilenet_chest)


def test_only_public_names_are_listed() -> None:
    listed = {name for name in dir(mobilenet_chest) if not name.startswith("__")}
    assert listed == set(mobilenet_chest.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["mobilenet_chest", "mobilenet_chest.sweep.study"])
def test_the_sweep_can_be_called_whatever_was_imported_before(tmp_path: Path, first: str) -> None:
    lines = (
        f"import {first}; from mobilenet_chest import sweep; import mobilenet_chest.sweep.study as study; "
        "print(callable(sweep), sweep.run_sweep is study.run_sweep)"
    )
    result = start("-c", lines, cwd=tmp_path)
    assert result.stdout.split() == ["True", "True"], result.stderr


def test_the_version_is_that_of_the_installed_package() -> None:
    assert mobilenet_chest.__version__ == version("mobilenet-chest")


def test_any_other_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mobilenet_chest.nothing


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    result = start("-c", "import json, sys, mobilenet_chest; print(json.dumps(list(sys.modules)))", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {"torch", "mlflow", "optuna", "numpy", "pydantic"}.isdisjoint(json.loads(result.stdout))
