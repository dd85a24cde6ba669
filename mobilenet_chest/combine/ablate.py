"""Ablation: each of several choices is turned on alone and compared with the same baseline, in seeds or folds."""

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
from mobilenet_chest.config.yaml_text import read_yaml
from mobilenet_chest.errors import ConfigError, nearest
from mobilenet_chest.tracking.run_metrics import metrics_of

USUAL_VALUES: Mapping[str, Any] = {
    "augment.rotation": 10,
    "augment.shift": 0.1,
    "augment.scale": 0.1,
    "augment.brightness": 0.1,
    "augment.contrast": 0.2,
    "augment.blur": 1.0,
    "augment.noise": 0.05,
    "augment.erasing": 0.25,
    "augment.crop": {"scale": [0.5, 1.0]},
    "augment.gamma": 0.5,
    "augment.local_contrast": 0.3,
    "augment.sharpness": 1.0,
    "augment.resample": 0.5,
    "augment.jpeg": 30,
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
"""Value of a field where only its name is given."""

PAIRING_FIELDS = (
    "data.dataset", "data.classes", "data.path", "data.root", "data.folds", "data.fold",
    "data.fold_by", "data.split_seed", "seed",
)  # fmt: skip
"""Fields that decide the rows or the seed. Two trainings that differ in one of them are no pair."""

ABLATION_METRICS = ("val_auc", "val_accuracy_crossfit", "val_loss")
"""Metrics whose differences are given."""

STRESS_METRICS = ("stress_auc_mean", "heldout_stress_auc_mean")
"""Further ones, where all trainings have them."""

CONFIDENCE = 0.95
"""Level of the intervals."""

Settings = dict[str, Any]
"""Dotted path of a field -> value."""


@dataclass(frozen=True)
class MeanDifference:
    """Difference that a choice makes to a metric: with it minus without it, paired by seed or fold.

    Attributes:
        mean: Mean over the pairs.
        low: Lower end of the 95% interval of the mean (Student's t); NaN for one pair.
        high: Upper end.
        each: The difference of each pair.
    """

    mean: float
    low: float
    high: float
    each: tuple[float, ...]


@dataclass(frozen=True)
class AblationRow:
    """The result of one choice. The attributes are the keys of ``ablate --json``.

    Attributes:
        choice: Its settings; ``{}`` for the baseline.
        metrics: Means of the metrics over seeds or folds.
        differences: Difference of each metric from the baseline; empty for the baseline itself.
        times_slower: Training time divided by the baseline's, the median over the pairs.
        run_ids: The run of each seed or fold.
    """

    choice: Settings
    metrics: dict[str, float]
    differences: dict[str, MeanDifference]
    times_slower: float
    run_ids: tuple[str, ...]


def parse_choices(text: str) -> list[Settings]:
    """Parse choices: ``a.b,c.d=1+e.f=2`` gives ``[{a.b: its usual value}, {c.d: 1, e.f: 2}]``.

    Args:
        text: Choices separated by commas, settings of one choice by ``+``, values in YAML notation.

    Raises:
        ConfigError: A value is not valid YAML, or a field without a value has no usual value.
    """
    choices, problems = [], []
    for part in re.split(r",(?![^\[]*\])", text):
        choice: Settings = {}
        for setting in part.split("+"):
            path, equals, value = setting.strip().partition("=")
            if equals:
                try:
                    choice[path] = read_yaml(value)
                except (yaml.YAMLError, ValueError, RecursionError):
                    problems.append(f"--over {setting.strip()}: the value is not valid YAML; quote it")
            elif path in USUAL_VALUES:
                choice[path] = USUAL_VALUES[path]
            else:
                problems.append(
                    f"--over {path}: has no usual value{nearest(path, USUAL_VALUES)}; write {path}=VALUE, or one of: "
                    f"{', '.join(USUAL_VALUES)}"
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
    """Train the experiment and each choice with the same seeds, or on the same folds; the first row is the baseline.

    Finished runs of the same data, settings and code are reused, so that a choice can be added later.

    Args:
        config: The experiment.
        choices: Settings to turn on, each choice alone.
        seeds: Number of consecutive seeds, starting with the experiment's.
        folds: Number of folds of train and val together, with the experiment's seed, instead of seeds.
        display: Shows the trainings.
        teacher: Run, study or ensemble that teaches the trainings with ``loss.distill_weight``; not with folds.

    Raises:
        ConfigError: A choice does not fit the experiment, or changes nothing in it.
        UserError: A training cannot be started; raised before the first one starts.
    """
    base = with_values(config, {})
    resolved = flatten(base.resolved())
    for choice in choices:
        if pairing := [path for path in choice if path in PAIRING_FIELDS]:
            raise ConfigError([f"--over {pairing[0]}: decides the rows or the seed, which pairs must share; choose "
                               "another field"])  # fmt: skip
        changed = with_values(base, choice)
        if flatten(changed.resolved()) == resolved:
            raise ConfigError(
                [f"--over {settings_text(choice)}: the experiment has this value already; choose another"]
            )
    places: list[Settings] = [{"seed": config.seed + offset} for offset in range(seeds)]
    if folds is not None:
        places = [{"data.folds": folds, "data.fold": fold} for fold in range(folds)]
    configs = [with_values(base, choice | place) for choice in ({}, *choices) for place in places]
    if teacher is not None:
        _check_teacher(configs, teacher)
    runs = train_members(configs, display, None if teacher is None else teacher_logits(base, teacher))
    groups = [runs[start : start + len(places)] for start in range(0, len(runs), len(places))]
    # a fold is tested on 1/k of the rows and trained on the other (k - 1)/k
    test_share = 0 if folds is None else 1 / (folds - 1)
    return [
        ablation_row(choice, group, groups[0], test_share) for choice, group in zip(({}, *choices), groups, strict=True)
    ]


def settings_text(choice: Settings) -> str:
    """Return settings as on the command line; ``baseline`` for none."""
    return "+".join(f"{path}={value}" for path, value in choice.items()) or "baseline"


def mean_difference(differences: Sequence[float], test_share: float = 0) -> MeanDifference:
    """Return mean and 95% interval of paired differences.

    Args:
        differences: The difference of each pair.
        test_share: Tested rows of a fold divided by trained rows. It widens the interval, as trainings on overlapping
            rows are not independent (Nadeau and Bengio, Inference for the Generalization Error, 2003, section 5). 0 for
            seeds: then the interval says how much seeds change the difference on these rows.
    """
    from scipy.special import stdtrit

    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return MeanDifference(mean, math.nan, math.nan, tuple(values.tolist()))
    error = values.std(ddof=1) * math.sqrt(1 / len(values) + test_share)
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * error)
    return MeanDifference(mean, mean - half, mean + half, tuple(values.tolist()))


def _check_teacher(configs: Sequence[Config], teacher: str) -> None:
    if any(config.data.folds for config in configs):
        raise ConfigError([f"--teacher {teacher}: was trained on rows of every fold; use --seeds instead of --folds"])
    if not any(config.loss.distill_weight for config in configs):
        raise ConfigError(
            [f"--teacher {teacher}: no training uses it; add --over loss.distill_weight, or leave --teacher out"]
        )


def ablation_row(
    choice: Settings, group: Sequence[Member], baseline: Sequence[Member], test_share: float = 0
) -> AblationRow:
    """Return the result of a choice from its trainings and the baseline's, pair by pair.

    Args:
        choice: Its settings; ``{}`` for the baseline itself.
        group: Its trainings.
        baseline: Those of the baseline, in the same order.
        test_share: As for :func:`mean_difference`.
    """
    pairs = [(metrics_of(member.run), metrics_of(base.run)) for member, base in zip(group, baseline, strict=True)]
    of_all = [name for name in STRESS_METRICS if all(name in metrics for pair in pairs for metrics in pair)]
    names = (*ABLATION_METRICS, *of_all)
    differences = {
        name: mean_difference([metrics[name] - base[name] for metrics, base in pairs], test_share) for name in names
    }
    return AblationRow(
        choice,
        metrics={name: float(np.mean([metrics[name] for metrics, _ in pairs])) for name in names},
        differences=differences if choice else {},
        times_slower=float(np.median([metrics["train_seconds"] / base["train_seconds"] for metrics, base in pairs])),
        run_ids=tuple(member.run_id for member in group),
    )
