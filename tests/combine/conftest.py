"""The tiniest trainings that still differ from each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.experiments import SMALL_MODEL

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val

TINY = SMALL_MODEL | {
    "optimizer": {"batch_size": 16, "accumulation": 1},
    "stage2": {"epochs": 2, "lr": 2e-3},
    "tracking.experiment": "members",
}


@pytest.fixture
def tiny(phantom_config: Callable[..., Config], tracking: Path) -> Callable[..., Config]:
    """Makes tiny experiments; MLflow's store is an empty one in the working folder."""
    load_train_val.cache_clear()

    def make(values: dict[str, Any] | None = None) -> Config:
        return phantom_config(TINY | (values or {}))

    return make
