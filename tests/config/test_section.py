"""What all sections refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import Config, StageConfig


def config(**fields: Any) -> Config:
    return Config.model_validate({"name": "x"} | fields)


def test_a_config_cannot_be_changed() -> None:
    made = config()
    with pytest.raises(ValidationError, match="frozen"):
        made.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_is_finite(value: float) -> None:
    with pytest.raises(ValidationError) as caught:
        config(stage1={"lr": value})
    assert [error["type"] for error in caught.value.errors()] == ["finite_number"]


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        StageConfig.model_validate({"epochs": 1, "lr": 1e-3, "lrr": 1})
    assert [(error["type"], error["loc"]) for error in caught.value.errors()] == [("extra_forbidden", ("lrr",))]
