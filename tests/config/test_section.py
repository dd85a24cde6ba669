"""What all sections refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import Config, Distribution, ModelConfig, StageConfig, parse
from mobilenet_chest.config.recipe import LossConfig, Stage2Config
from mobilenet_chest.config.schema import TrackingConfig
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import ConfigError


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


@pytest.mark.parametrize(
    ("section", "field"),
    [(Stage2Config, "epochs"), (Stage2Config, "lr"), (ModelConfig, "hidden"), (LossConfig, "pos_weight"),
     (Distribution, "low"), (Stage2Config, "unfreeze_from"), (Stage2Config, "patience")],
)  # fmt: skip
@pytest.mark.parametrize("value", [True, "010", "1_0", " 1 ", "１"])
def test_only_plain_decimals_are_numbers(section: type[Section], field: str, value: object) -> None:
    for given in ([value], value):
        if field in ("hidden", "unfreeze_from") or given is value:
            with pytest.raises(ValidationError):
                section.model_validate({field: given})


def test_quoted_decimals_and_words_for_booleans() -> None:
    assert Stage2Config.model_validate({"lr": "1e-3", "epochs": "16"}).lr == 1e-3
    assert TrackingConfig.model_validate({"plots": "off"}).plots is False
    assert TrackingConfig.model_validate({"plots": "yes"}).plots is True
    assert LossConfig.model_validate({"pos_weight": "auto"}).pos_weight == "auto"


@pytest.mark.parametrize("field", ["study.name", "tracking.experiment"])
@pytest.mark.parametrize("name", ["", "x" * 201, "x" * 600, "a\nb", "a\tb", " a", "a ", "a\x00", "a\udce9", "a\u200b"])
def test_names_that_databases_or_terminals_do_not_take(field: str, name: str) -> None:
    section, leaf = field.split(".")
    with pytest.raises(ConfigError) as caught:
        parse({"name": "x", section: {leaf: name}})
    (line,) = caught.value.problems
    assert line.startswith(f"config: {field}: ")
    assert len(line) < 200


def test_names_of_any_form() -> None:
    for name in ("x" * 200, "a/b: 'c' \"d\" #e %f =g", "é 胸部", "1e3"):
        assert parse({"name": "x", "study": {"name": name}}).study_name == name
        assert parse({"name": "x", "tracking": {"experiment": name}}).experiment == name


def test_a_path_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.path: .*rename the file"):
        parse({"name": "x", "data": {"path": "caf\udce9.npz"}})
    with pytest.raises(ConfigError, match="more than 255 bytes"):
        parse({"name": "x", "data": {"path": "a/" + "x" * 300}})
