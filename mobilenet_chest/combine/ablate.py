"""Which of several choices helps: each turned on alone, against the same baseline, in several seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from mobilenet_chest.combine.members import Member, Watch, trained, unwatched
from mobilenet_chest.config import Config, flatten, with_values
from mobilenet_chest.errors import ConfigError, nearest

ON: Mapping[str, Any] = {
    "augment.rotation": 10,
    "augment.shift": 0.1,
    "augment.scale": 0.1,
    "augment.brightness": 0.1,
    "augment.contrast": 0.2,
    "augment.blur": 1.0,
    "augment.noise": 0.05,
    "augment.erasing": 0.25,
    "augment.policy": "trivial",
    "augment.mixup": 0.2,
    "augment.cutmix": 1.0,
    "data.sampling": "balanced",
    "loss.name": "focal",
    "loss.pos_weight": "auto",
    "loss.label_smoothing": 0.1,
    "model.pooling": "gem",
    "model.attention": "se",
    "model.drop_path": 0.2,
    "optimizer.sam_rho": 0.05,
    "stage2.schedule": "cosine",
    "stage2.lr_decay": 0.8,
    "stage2.ema": 0.99,
    "stage2.batchnorm": "frozen",
}
"""What a field is set to where only its name is given."""

OTHER_ROWS = ("data.dataset", "data.classes", "data.path", "data.root", "data.folds", "data.fold", "seed")
"""Fields that would set figures of other images against each other, or the seeds that make the pairs."""

METRICS = ("val_auc", "val_accuracy_crossfit", "val_loss")

CONFIDENCE = 0.95

Choice = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """Of a metric, with a choice less without it, paired by seed.

    Attributes:
        mean: Over the seeds.
        low: Lower end of the 95% interval of the mean (Student's t); NaN for one seed.
        high: Upper end.
        each: For each seed.
    """

    mean: float
    low: float
    high: float
    each: tuple[float, ...]


@dataclass(frozen=True)
class AblationRow:
    """One choice.

    Attributes:
        choice: Its settings, ``{}`` for the baseline.
        metrics: Means over the seeds.
        differences: Of each metric, to the baseline; empty for the baseline itself.
        times_slower: Training time over the baseline's, the median over the seeds.
        run_ids: One for each seed.
    """

    choice: Choice
    metrics: dict[str, float]
    differences: dict[str, Difference]
    times_slower: float
    run_ids: tuple[str, ...]


def parse_choices(text: str) -> list[Choice]:
    """``a.b,c.d=1+e.f=2`` as ``[{a.b: its usual value}, {c.d: 1, e.f: 2}]``; values in YAML notation.

    Raises:
        ConfigError: A name without a value has no usual one.
    """
    choices, problems = [], []
    for part in re.split(r",(?![^\[]*\])", text):
        choice: Choice = {}
        for setting in part.split("+"):
            path, equals, value = setting.strip().partition("=")
            if equals:
                choice[path] = yaml.safe_load(value)
            elif path in ON:
                choice[path] = ON[path]
            else:
                problems.append(
                    f"--over {path}: no usual value to turn on{nearest(path, ON)} Write {path}=VALUE, or one of: "
                    f"{', '.join(ON)}"
                )
        choices.append(choice)
    if problems:
        raise ConfigError(problems)
    return choices


def ablate(config: Config, choices: Sequence[Choice], seeds: int, watch: Watch = unwatched) -> list[AblationRow]:
    """Train the experiment and each choice in the same seeds; the first row is the baseline.

    Finished runs that are the same in data, settings and code are taken over, so that a choice can be added later.

    Raises:
        ConfigError: A choice does not fit the experiment, or is what the experiment has anyway.
        UserError: Whatever else a training refuses, before the first one starts.
    """
    base = with_values(config, {})
    resolved = flatten(base.resolved())
    for choice in choices:
        if other := [path for path in choice if path in OTHER_ROWS]:
            raise ConfigError([f"--over {other[0]}: runs on other rows or seeds have no pairs; choose another field"])
        changed = with_values(base, choice)
        if flatten(changed.resolved()) == resolved:
            raise ConfigError([f"--over {described(choice)}: the experiment has that already; choose another value"])
    numbers = [config.seed + offset for offset in range(seeds)]
    wanted = [with_values(base, choice | {"seed": seed}) for choice in ({}, *choices) for seed in numbers]
    runs = trained(wanted, watch)
    groups = [runs[start : start + seeds] for start in range(0, len(runs), seeds)]
    return [_row(choice, group, groups[0]) for choice, group in zip(({}, *choices), groups, strict=True)]


def described(choice: Choice) -> str:
    """As on the command line."""
    return "+".join(f"{path}={value}" for path, value in choice.items()) or "baseline"


def paired(differences: Sequence[float]) -> Difference:
    """Mean and interval of paired differences."""
    from scipy.stats import t

    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return Difference(mean, math.nan, math.nan, tuple(values.tolist()))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Difference(mean, mean - half, mean + half, tuple(values.tolist()))


def _row(choice: Choice, group: Sequence[Member], baseline: Sequence[Member]) -> AblationRow:
    pairs = [(own.run.data.metrics, base.run.data.metrics) for own, base in zip(group, baseline, strict=True)]
    return AblationRow(
        choice,
        {name: float(np.mean([own[name] for own, _ in pairs])) for name in METRICS},
        {name: paired([own[name] - base[name] for own, base in pairs]) for name in METRICS} if choice else {},
        float(np.median([own["train_seconds"] / base["train_seconds"] for own, base in pairs])),
        tuple(member.run_id for member in group),
    )
