"""What the learning curves of earlier studies say of a new one: how curves run, not where they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior, Scales, learned_prior, usual_scales
from mobilenet_chest.sweep.freeze_thaw import LEAST_CURVES, place_of
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel
from mobilenet_chest.sweep.space import as_stored
from mobilenet_chest.sweep.study_summary import StudySummary

MOST_STUDIES = 10
"""Studies whose curves are read, the last ones: each takes half a second."""


def curves_of(study: StudySummary) -> list[Curve]:
    """Return the curves of a study in short, of the trials that have one."""
    return [
        Curve(
            place_of({path: as_stored(path, study.search[path], v) for path, v in trial.params.items()}, study.search),
            np.array(sorted(trial.curve), dtype=np.float64),
            np.array([as_score(trial.curve[epoch], study.direction) for epoch in sorted(trial.curve)]),
        )
        for trial in study.trials
        if trial.curve
    ]


def learn_curves(earlier: Sequence[StudySummary]) -> dict[str, Any] | None:
    """Return what a new study keeps of the curves of earlier ones, as JSON: their ``studies``, and a prior of scales.

    ``None`` where none has enough curves.
    """
    ratios = {study.name: ratio for study in earlier[-MOST_STUDIES:] if (ratio := _ratio(study)) is not None}
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
