"""What the description of a trial's run begins with: which trial it is, and the values that it tries."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import repeated_trial, trial_name
from mobilenet_chest.tracking.notes import code, values_text


def about_trial(config: Config, study: optuna.Study, trial: Trial | FrozenTrial) -> str:
    """Return which trial of which study a run is, and the values that it tries."""
    confirms = trial.user_attrs.get(attributes.CONFIRMS)
    values = values_text(trial.params)
    if confirms is not None:
        repeats = f"Trial {repeated_trial(trial)} of study {code(str(confirms['study']))}, trained again"
        return f"**{repeats} on the fresh seed {confirms['seed']}**: {values}."
    name = trial_name(study, trial).capitalize()
    return f"**{name} of study {code(config.study_name)}**: {values}."
