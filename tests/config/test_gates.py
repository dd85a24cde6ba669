"""Gates as an experiment file states them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.config import Config, load, parse, to_yaml
from mobilenet_chest.errors import ConfigError

ALL: dict[str, Any] = {
    "champion": {"margin": 0.02},
    "baseline": {"reference": "densenet", "margin": 0.01, "confidence": 0.9, "metric": "val_accuracy_crossfit"},
    "sensitivity": 0.9, "specificity": 0.8, "ece": 0.05, "latency_ms": 40, "clean_git": True, "same_data": True,
    "test_openings": 1,
}  # fmt: skip


def config(gates: dict[str, Any]) -> Config:
    return parse({"name": "x", "gates": gates})


def test_there_are_none_by_default() -> None:
    gates = parse({"name": "x"}).gates
    assert not any(value for value in gates.model_dump().values())


def test_they_change_neither_a_digest_nor_what_a_training_is_made_of() -> None:
    plain, gated = parse({"name": "x"}), config(ALL)
    assert gated.digest() == plain.digest()
    assert gated.training_fields() == plain.training_fields()


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    gated = config(ALL)
    assert gated.gates.champion is not None
    assert (gated.gates.champion.metric, gated.gates.champion.confidence) == ("val_auc_tta", 0.95)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(gated), encoding="utf-8")
    assert load(path) == gated


def test_from_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: x\n", encoding="utf-8")
    gates = load(path, ["gates.champion.margin=0.03", "gates.sensitivity=0.85"]).gates
    assert gates.champion is not None
    assert (gates.champion.margin, gates.sensitivity, gates.baseline) == (0.03, 0.85, None)


@pytest.mark.parametrize(
    ("gates", "part"),
    [
        (
            {"sensitivty": 0.9},
            "gates.sensitivty: unknown key; did you mean 'sensitivity'? Allowed: champion, baseline,",
        ),
        (
            {"champion": {"margn": 0.1}},
            "gates.champion.margn: unknown key; did you mean 'margin'? Allowed: metric, mar",
        ),
        ({"champion": {}}, "gates.champion.margin: missing"),
        ({"champion": {"margin": -0.01}}, "gates.champion.margin: must be greater than or equal to 0"),
        ({"champion": {"margin": 0.1, "confidence": 95}}, "gates.champion.confidence: must be less than 1"),
        ({"champion": {"margin": 0.1, "metric": "val_loss"}}, "'val_auc_tta' or 'val_accuracy_crossfit'"),
        ({"baseline": {"margin": 0.1}}, "gates.baseline.reference: missing"),
        ({"sensitivity": 90}, "gates.sensitivity: must be less than 1"),
        ({"ece": 0}, "gates.ece: must be greater than 0"),
        ({"latency_ms": -1}, "gates.latency_ms: must be greater than 0"),
        ({"test_openings": 0}, "gates.test_openings: must be greater than or equal to 1"),
    ],
)
def test_what_makes_no_gate_is_refused(gates: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(gates)
    assert part in str(caught.value)


def test_they_cannot_be_searched() -> None:
    with pytest.raises(ConfigError, match=r"^config: search\.gates\.ece: "):
        parse({"name": "x", "search": {"gates.ece": {"low": 0.01, "high": 0.1}}})
