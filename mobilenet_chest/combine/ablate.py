"""Which of several choices helps: each turned on alone, against the same baseline, in several seeds or folds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from mobilenet_chest.combine.distill import DEFAULT_WEIGHT, teacher_logits
from mobilenet_chest.combine.members import Member, ProgressDisplay, no_display, train_members
from mobilenet_chest.config import Config, flatten, with_values
from mobilenet_chest.errors import ConfigError, nearest

USUAL_VALUES: Mapping[str, Any] = {
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
    "loss.distill_weight": DEFAULT_WEIGHT,
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

PAIRING_FIELDS = (
    "data.dataset", "data.classes", "data.path", "data.root", "data.folds", "data.fold", "data.split_seed", "seed"
)  # fmt: skip
"""Fields that would set figures of other images against each other, or the seeds that make the pairs."""

ABLATION_METRICS = ("val_auc", "val_accuracy_crossfit", "val_loss")

CONFIDENCE = 0.95

Settings = dict[str, Any]


@dataclass(frozen=True)
class MeanDifference:
    """Of a metric, with a choice less without it, paired by seed or fold.

    Attributes:
        mean: Over the pairs.
        low: Lower end of the 95% interval of the mean (Student's t); NaN for one pair.
        high: Upper end.
        each: For each pair.
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
        metrics: Means over seeds or folds.
        differences: Of each metric, to the baseline; empty for the baseline itself.
        times_slower: Training time over the baseline's, the median over the pairs.
        run_ids: One for each seed or fold.
    """

    choice: Settings
    metrics: dict[str, float]
    differences: dict[str, MeanDifference]
    times_slower: float
    run_ids: tuple[str, ...]


def parse_choices(text: str) -> list[Settings]:
    """``a.b,c.d=1+e.f=2`` as ``[{a.b: its usual value}, {c.d: 1, e.f: 2}]``; values in YAML notation.

    Raises:
        ConfigError: A name without a value has no usual one.
    """
    choices, problems = [], []
    for part in re.split(r",(?![^\[]*\])", text):
        choice: Settings = {}
        for setting in part.split("+"):
            path, equals, value = setting.strip().partition("=")
            if equals:
                try:
                    choice[path] = yaml.safe_load(value)
                except (yaml.YAMLError, ValueError, RecursionError):
                    problems.append(f"--over {setting.strip()}: the value is not valid YAML; quote it")
            elif path in USUAL_VALUES:
                choice[path] = USUAL_VALUES[path]
            else:
                problems.append(
                    f"--over {path}: no usual value to turn on{nearest(path, USUAL_VALUES)} Write {path}=VALUE, or one "
                    f"of: {', '.join(USUAL_VALUES)}"
                )
        choices.append(choice)
    if problems:
        raise ConfigError(problems)
    return choices


def ablate(
    config: Config,
    choices: Sequence[Settings],
    seeds: int = 3,
    folds: int | None = None,
    display: ProgressDisplay = no_display,
    teacher: str | None = None,
) -> list[AblationRow]:
    """Train the experiment and each choice in the same seeds, or on the same folds; the first row is the baseline.

    Finished runs that are the same in data, settings and code are taken over, so that a choice can be added later.

    Args:
        config: The experiment.
        choices: Settings to turn on, each alone.
        seeds: How many, consecutive, from the experiment's own on.
        folds: Folds of train and val together, in the experiment's seed, instead of seeds.
        display: Shows the trainings.
        teacher: Run, study or ensemble, for those with ``loss.distill_weight``; not with folds.

    Raises:
        ConfigError: A choice does not fit the experiment, or is what the experiment has anyway.
        UserError: Whatever else a training refuses, before the first one starts.
    """
    base = with_values(config, {})
    resolved = flatten(base.resolved())
    for choice in choices:
        if other := [path for path in choice if path in PAIRING_FIELDS]:
            raise ConfigError([f"--over {other[0]}: runs on other rows or seeds have no pairs; choose another field"])
        changed = with_values(base, choice)
        if flatten(changed.resolved()) == resolved:
            raise ConfigError(
                [f"--over {settings_text(choice)}: the experiment has that already; choose another value"]
            )
    places: list[Settings] = [{"seed": config.seed + offset} for offset in range(seeds)]
    if folds is not None:
        places = [{"data.folds": folds, "data.fold": fold} for fold in range(folds)]
    configs = [with_values(base, choice | place) for choice in ({}, *choices) for place in places]
    if teacher is not None:
        _can_teach(configs, teacher)
    runs = train_members(configs, display, None if teacher is None else teacher_logits(base, teacher))
    groups = [runs[start : start + len(places)] for start in range(0, len(runs), len(places))]
    test_share = 0 if folds is None else 1 / (folds - 1)
    return [_row(choice, group, groups[0], test_share) for choice, group in zip(({}, *choices), groups, strict=True)]


def settings_text(choice: Settings) -> str:
    """As on the command line."""
    return "+".join(f"{path}={value}" for path, value in choice.items()) or "baseline"


def mean_difference(differences: Sequence[float], test_share: float = 0) -> MeanDifference:
    """Mean and interval of paired differences.

    Args:
        differences: One for each pair.
        test_share: Rows of a fold over rows that its training has, which widens the interval: trainings on
            overlapping rows are not independent (Nadeau and Bengio, Inference for the Generalization Error, 2003,
            section 5). 0 for seeds: the interval is then about the seeds, on these rows.
    """
    from scipy.stats import t

    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return MeanDifference(mean, math.nan, math.nan, tuple(values.tolist()))
    error = values.std(ddof=1) * math.sqrt(1 / len(values) + test_share)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error)
    return MeanDifference(mean, mean - half, mean + half, tuple(values.tolist()))


def _can_teach(configs: Sequence[Config], teacher: str) -> None:
    if any(config.data.folds for config in configs):
        raise ConfigError([f"--teacher {teacher}: a teacher has seen rows of every fold; compare in seeds instead"])
    if not any(config.loss.distill_weight for config in configs):
        raise ConfigError([f"--teacher {teacher}: has nobody to teach; add --over loss.distill_weight, or remove it"])


def _row(choice: Settings, group: Sequence[Member], baseline: Sequence[Member], test_share: float) -> AblationRow:
    pairs = [(own.run.data.metrics, base.run.data.metrics) for own, base in zip(group, baseline, strict=True)]
    return AblationRow(
        choice,
        {name: float(np.mean([own[name] for own, _ in pairs])) for name in ABLATION_METRICS},
        {
            name: mean_difference([own[name] - base[name] for own, base in pairs], test_share)
            for name in ABLATION_METRICS
        }
        if choice
        else {},
        float(np.median([own["train_seconds"] / base["train_seconds"] for own, base in pairs])),
        tuple(member.run_id for member in group),
    )
