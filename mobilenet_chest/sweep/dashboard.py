"""What ``optuna-dashboard`` shows of a study besides its trials: names of the metrics, and notes.

Notes are stored as the dashboard's own function for them does, so that the dashboard need not be installed here.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.optuna_adapter import set_study_system_attribute, study_system_attributes, trial_id

VERSION, PART = "dashboard:note_ver", "dashboard:note_str:"
"""Attributes of a study: how often its note was written, and before a number, a part of its text.

Those of a trial's note have the trial's id in the storage before the second word.
"""

PART_LETTERS = 2045
"""Characters of a part: a database's column holds no more."""


def name_metrics(config: Config, study: optuna.Study) -> None:
    """Name the study's objectives as MLflow does, where they have no names yet."""
    names = [config.study.metric, *config.study.also]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if study.metric_names != names:
            study.set_metric_names(names)


def save_note(study: optuna.Study, note: str, trial: Trial | None = None) -> None:
    """Replace the note of a study or of one of its trials, which is Markdown; the same is not written again."""
    owner = "dashboard:" if trial is None else f"dashboard:{trial_id(trial)}:"
    version_key, part_key = (key.replace("dashboard:", owner) for key in (VERSION, PART))
    stored = study_system_attributes(study)
    old = {key: value for key, value in stored.items() if key.startswith(part_key)}
    parts = [note[first : first + PART_LETTERS] for first in range(0, len(note), PART_LETTERS)]
    new = {f"{part_key}{number}": part for number, part in enumerate(parts)}
    # parts of a longer note before this one stay, and are empty
    new |= {key: "" for key in old if key not in new}
    changed = {key: part for key, part in new.items() if old.get(key) != part}
    for key, part in changed.items():
        set_study_system_attribute(study, key, part)
    if changed:  # the dashboard reads the note anew when its version has changed
        set_study_system_attribute(study, version_key, int(stored.get(version_key, 0)) + 1)
