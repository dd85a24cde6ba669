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


@pytest.mark.slow
@pytest.mark.parametrize(("given", "reports"), [(None, False), ("false", True)])
def test_mlflow_reports_to_its_makers_only_if_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, reports: bool
) -> None:
    for name in ("MLFLOW_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", given)
    lines = (
        "import mobilenet_chest.tracking.store; from mlflow.telemetry import utils; "
        "utils._IS_IN_CI_ENV_OR_TESTING = False; print(not utils.is_telemetry_disabled())"
    )
    result = start("-c", lines, cwd=tmp_path)
    assert result.stdout.split() == [str(reports)], result.stderr


def test_the_version_is_that_of_the_installed_package() -> None:
    assert mobilenet_chest.__version__ == version("mobilenet-chest")


def test_any_other_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mobilenet_chest.nothing


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    result = start("-c", "import json, sys, mobilenet_chest; print(json.dumps(list(sys.modules)))", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {"torch", "mlflow", "optuna", "numpy", "pydantic"}.isdisjoint(json.loads(result.stdout))
