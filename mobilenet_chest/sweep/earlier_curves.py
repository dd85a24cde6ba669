"""What the learning curves of earlier studies say of a new one: how curves run, not where they end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import optuna

from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior, Scales, learned_prior, usual_scales
from mobilenet_chest.sweep.freeze_thaw import LEAST_CURVES, place_of
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel
from mobilenet_chest.sweep.space import as_stored
from mobilenet_chest.sweep.study_summary import StudySummary, TrialRecord

T = TypeVar("T")

MOST_STUDIES = 10
"""Studies whose curves are read, the last ones: each takes half a second."""

MOST_TRIALS, MOST_EPOCHS = 40, 50
"""Trials and epochs that are read of a study, at even distances: the time grows with the third power of both."""


def curves_of(study: StudySummary) -> list[Curve]:
    """Return the curves of a study in short, of at most :data:`MOST_TRIALS` of the trials that have one."""
    return [_curve(study, trial) for trial in _spread([t for t in study.trials if t.curve], MOST_TRIALS)]


def _curve(study: StudySummary, trial: TrialRecord) -> Curve:
    params = {path: as_stored(path, study.search[path], value) for path, value in trial.params.items()}
    epochs = _spread(sorted(trial.curve), MOST_EPOCHS)
    scores = [as_score(trial.curve[epoch], study.direction) for epoch in epochs]
    return Curve(place_of(params, study.search), np.array(epochs, dtype=np.float64), np.array(scores))


def _spread(items: Sequence[T], most: int) -> list[T]:
    """Return items at even distances, the first and the last among them; all where they are few."""
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]


def learn_curves(earlier: Sequence[StudySummary]) -> dict[str, Any] | None:
    """Return what a new study keeps of the curves of earlier ones, as JSON: their ``studies``, and a prior of scales.

    ``None`` where none has enough curves.
    """
    told = ((study.name, ratio) for study in reversed(earlier) if (ratio := _ratio(study)) is not None)
    ratios = dict(reversed(list(islice(told, MOST_STUDIES))))
    if not ratios:
        return None
    prior = learned_prior(list(ratios.values()))
    return {"studies": list(ratios), **{name: scales._asdict() for name, scales in prior._asdict().items()}}


def stored_prior(study: optuna.Study) -> ScalePrior:
    """Return what the scales of a study's curves are expected to be; the usual ones where it has learned nothing."""
    stored: dict[str, Any] | None = study.user_attrs.get(attributes.CURVES)
    return USUAL if stored is None else ScalePrior(*(Scales(**stored[name]) for name in ScalePrior._fields))


def _ratio(study: StudySummary) -> Scales | None:
    """Return the scales of a study in units of the usual ones; ``None`` where its curves are too few or too short."""
    curves = curves_of(study)
    if study.stage2_epochs is None or len(curves) < LEAST_CURVES or max(len(each.epochs) for each in curves) < 2:
        return None
    usual = usual_scales(study.stage2_epochs, len(curves[0].place))
    scales = CurveModel(curves, study.stage2_epochs).scales
    return Scales(*(np.array(scales) / np.array(usual)).tolist())
