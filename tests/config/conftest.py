"""An experiment file that the test writes, and what reading it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mobilenet_chest.config import Config, load
from mobilenet_chest.errors import ConfigError


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Path of an experiment file, to be written by the test."""
    return tmp_path / "experiment.yaml"


@pytest.fixture
def problems(experiment: Path) -> Callable[..., tuple[str, ...]]:
    """Write the file and return the problems that loading it, with overrides, ends with."""

    def write_and_load(text: str, *overrides: str) -> tuple[str, ...]:
        experiment.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(experiment, overrides)
        assert not any("\n" in line for line in caught.value.problems)
        return caught.value.problems

    return write_and_load


@pytest.fixture
def loaded(experiment: Path) -> Callable[..., Config]:
    """Write the file and return the experiment that it holds, with overrides."""

    def write_and_load(text: str, *overrides: str) -> Config:
        experiment.write_text(text, encoding="utf-8")
        return load(experiment, overrides)

    return write_and_load
