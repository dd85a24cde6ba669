"""Which sampler ``auto`` chooses, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.errors import MissingExtraError
from mobilenet_chest.sweep import sampler_choice
from mobilenet_chest.sweep.sampler_choice import GP_TRIALS, SamplerChoice, check_sampler, choose_sampler

RANGES: dict[str, Any] = {
    "stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "model.dropout": {"low": 0.0, "high": 0.9},
}
CHOICES: dict[str, Any] = {"loss.name": {"choices": ["bce", "focal"]}}
CONDITIONAL: dict[str, Any] = CHOICES | {"loss.focal_gamma": {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}}}
MANY = GP_TRIALS + 1

Make = Callable[..., Config]


@pytest.mark.parametrize(
    ("search", "study", "chosen"),
    [
        (RANGES, {"trials": 20}, "gp"),
        (RANGES | CHOICES, {"trials": 20}, "tpe"),
        (RANGES | CONDITIONAL, {"trials": 20}, "tpe"),
        (RANGES, {"trials": MANY}, "cmaes"),
        (RANGES, {"trials": MANY, "constraints": ["parameters <= 5e6"]}, "tpe"),
        (RANGES, {"trials": MANY, "also": ["parameters"], "pruner": "none"}, "tpe"),
    ],
)
def test_auto_chooses_by_the_space(
    phantom_config: Make, monkeypatch: pytest.MonkeyPatch, search: Any, study: Any, chosen: str
) -> None:
    monkeypatch.setattr(sampler_choice, "find_spec", lambda name: object())
    choice = choose_sampler(phantom_config({"search": search, "study": study | {"sampler": "auto"}}))
    assert choice.name == chosen
    assert choice.reason


def test_without_the_extra_auto_does_not_choose_it(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_choice, "find_spec", lambda name: None)
    config = phantom_config({"search": RANGES, "study": {"trials": MANY, "sampler": "auto"}})
    assert choose_sampler(config).name == "tpe"
    check_sampler(choose_sampler(config))
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[cmaes\]'"):
        check_sampler(SamplerChoice("cmaes"))


def test_a_named_sampler_is_taken_and_a_stored_choice_kept(phantom_config: Make) -> None:
    named = phantom_config({"search": RANGES, "study": {"sampler": "random"}})
    assert choose_sampler(named) == SamplerChoice("random")
    auto = phantom_config({"search": RANGES, "study": {"trials": MANY, "sampler": "auto"}})
    stored = SamplerChoice("gp", "ranges only, and 20 trials are at most 200")
    assert choose_sampler(auto, stored._asdict()) == stored
