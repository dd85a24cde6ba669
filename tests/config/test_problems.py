"""Validation errors as lines: where, which value, what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mobilenet_chest.config import MODEL_NAMES, Config, ConfirmConfig, parse
from mobilenet_chest.errors import ConfigError

Problems = Callable[..., tuple[str, ...]]
Loaded = Callable[..., Config]


def test_all_problems_are_reported_together(problems: Problems, experiment: Path) -> None:
    result = problems(
        "name: x\nmodle: {}\nstage2: {lrr: 1, lr: -1}\nmodel: {name: mobilnet}\n",
        "optimizer.batch_size=0",
        "stage1.lr=fast",
    )
    assert set(result) == {
        f"{experiment}: model.name: unknown model 'mobilnet'; did you mean 'mobilenet_v2'? "
        f"Allowed: {', '.join(MODEL_NAMES)}, timm:<name>",
        "command line: optimizer.batch_size: must be greater than or equal to 1, not 0",
        "command line: stage1.lr: must be a valid number, not 'fast'",
        f"{experiment}: stage2.lr: must be greater than 0, not -1",
        f"{experiment}: stage2.lrr: unknown key; did you mean 'lr'? "
        "Allowed: epochs, lr, schedule, warmup_epochs, patience, ema, lr_decay, batchnorm, unfreeze_from, resolutions",
        f"{experiment}: modle: unknown key; did you mean 'model'? Allowed: {', '.join(Config.model_fields)}",
    }


def test_an_unknown_key_of_a_distribution(problems: Problems, experiment: Path) -> None:
    assert problems("name: x\nsearch: {stage2.lr: {lo: 1, low: 1, high: 2}}\n") == (
        f"{experiment}: search.stage2.lr.lo: unknown key; did you mean 'low'? Allowed: low, high, log, step, choices, "
        "when, prior",
    )


def test_an_unknown_key_of_a_section_that_may_be_null(loaded: Loaded, problems: Problems) -> None:
    assert problems("name: x\n", "study.confirm.tops=2") == (
        "command line: study.confirm.tops: unknown key; did you mean 'top'? Allowed: top, seeds",
    )
    assert loaded("name: x\n").study.confirm is None
    assert loaded("name: x\n", "study.confirm.top=2").study.confirm == ConfirmConfig(top=2, seeds=5)


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("trials=20", "'study.trials'"),
        ("lr=1e-3", "'stage1.lr' or 'stage2.lr'"),
        ("study.lr=1e-3", "'stage1.lr' or 'stage2.lr'"),
        ("study.top=2", "'study.confirm.top'"),
        ("stage1.hflip=0.5", "'augment.hflip'"),
    ],
)
def test_a_key_of_another_section_is_named(problems: Problems, assignment: str, meant: str) -> None:
    path = assignment.partition("=")[0]
    (line,) = problems("name: x\n", assignment)
    assert line.startswith(f"command line: {path}: unknown key; did you mean {meant}? Allowed here: ")


def test_parse_names_its_source() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"name": "x", "seed": "many"}, source="trial 3")
    assert caught.value.problems == ("trial 3: seed: must be a valid integer, not 'many'",)
