"""Constraints of a study, read from their texts."""

from __future__ import annotations

import pytest

from mobilenet_chest.config import StudyConfig
from mobilenet_chest.config.constraints import Constraint, parse_constraints
from mobilenet_chest.errors import ConfigError


def test_texts_are_read_and_written_in_one_form() -> None:
    texts = ["latency_1_ms<=5", "parameters <= 5.1e6", " val_sensitivity  >= 0.9 "]
    parsed = parse_constraints(texts)
    assert parsed == (
        Constraint("latency_1_ms", "<=", 5.0),
        Constraint("parameters", "<=", 5.1e6),
        Constraint("val_sensitivity", ">=", 0.9),
    )
    written = ("latency_1_ms <= 5", "parameters <= 5100000", "val_sensitivity >= 0.9")
    assert StudyConfig(constraints=tuple(texts)).constraints == tuple(map(str, parsed)) == written
    assert parse_constraints(written) == parsed


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [
        ("parameters <= 200", 300.0, 0.5),
        ("parameters <= 200", 200.0, 0.0),
        ("parameters <= 200", 100.0, -0.5),
        ("val_auc >= 0.8", 0.6, 0.25),
        ("val_auc >= 0.8", 0.8, 0.0),
        ("val_loss <= 0", 0.5, 0.5),
    ],
)
def test_a_violation_is_a_share_of_the_limit(text: str, value: float, violation: float) -> None:
    (constraint,) = parse_constraints([text])
    assert constraint.violation(value) == pytest.approx(violation)


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["latency_1_ms < 5"], "latency_1_ms <= 5"),
        (["latency <= 5"], "latency_1_ms"),
        (["parameters <= many"], "'many'"),
        (["parameters <= nan"], "'nan'"),
        (["val_auc >= 0.5", "val_auc >= 0.6"], "val_auc >= 0.6"),
    ],
)
def test_what_is_wrong_is_named(texts: list[str], named: str) -> None:
    with pytest.raises(ValueError, match="constraint") as caught:
        parse_constraints(texts)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_experiment_names_its_wrong_constraint(phantom_config) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        phantom_config({"study": {"constraints": ["latency_1_ms <= 5", "size <= 3"]}})
    assert len(caught.value.problems) == 1
    assert "size <= 3" in str(caught.value)


@pytest.mark.parametrize(
    "study",
    [
        {"sampler": "cmaes", "constraints": ["parameters <= 5e6"]},
        {"sampler": "cmaes", "also": ["parameters"], "pruner": "none"},
        {"constraints": ["stress_auc_mean >= 0.8"]},  # without evaluation.stress
        {"notify": "say 'done"},
    ],
)
def test_what_does_not_go_together_is_refused(phantom_config, study: dict[str, object]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        phantom_config({"study": study})
