"""What the descriptions of a trial begin with, in MLflow and Optuna's dashboard: its name, and what it tries."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import repeated_trial, trial_name
from mobilenet_chest.tracking.notes import code, values_text
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.view import run_page


def about_trial(config: Config, study: optuna.Study, trial: Trial | FrozenTrial) -> str:
    """Return which trial of which study a run is, and the values that it tries."""
    confirms = trial.user_attrs.get(attributes.CONFIRMS)
    values = values_text(trial.params)
    if confirms is not None:
        repeats = f"Trial {repeated_trial(trial)} of study {code(str(confirms['study']))}, trained again"
        return f"**{repeats} on the fresh seed {confirms['seed']}**: {values}."
    name = trial_name(study, trial).capitalize()
    return f"**{name} of study {code(config.study_name)}**: {values}."


def trial_note(about: str, run_id: str) -> str:
    """Return the note of a trial for Optuna's dashboard, which knows it by Optuna's number alone.

    Args:
        about: What :func:`about_trial` returns.
        run_id: The trial's run in MLflow; the note links to its page, or has the command that opens it.
    """
    page = run_page(run_id)
    return f"{about}\n\nIn MLflow: {f'[run {short_id(run_id)}]({page})' if '://' in page else code(page)}"
