"""The settings of a run that are read again: its seed, its epochs, its thresholds.

They are in one tag, since a run's parameters are only what a person looks at first, and to open ``config.yaml`` takes a
file more for each of hundreds of runs. Runs of early versions have all fields as parameters.
"""

from __future__ import annotations

import json
from typing import Any

from mlflow.entities import Run

from mobilenet_chest.config import Config, flatten
from mobilenet_chest.tracking import tags

FIELDS = (
    "seed", "stage1.epochs", "stage2.epochs", "evaluation.threshold_low", "evaluation.threshold_high",
    "evaluation.threshold_step", "evaluation.folds",
)  # fmt: skip
"""Fields of every run that are read again, by dotted path."""

STUDY_FIELDS = ("study.trials", "study.resampling", "study.confirm.seeds")
"""Those of the run of a study."""


def settings_text(config: Config) -> str:
    """Return the value of the tag :data:`~.tags.SETTINGS`: JSON of dotted path -> value."""
    fields = flatten(config.resolved())
    names = (*FIELDS, *STUDY_FIELDS) if config.search else FIELDS
    return json.dumps({name: fields[name] for name in names if name in fields})


def settings_of(run: Run) -> dict[str, Any]:
    """Return dotted path -> value of those of :data:`FIELDS` and :data:`STUDY_FIELDS` that a run has."""
    if (text := run.data.tags.get(tags.SETTINGS)) is not None:
        return dict(json.loads(text))
    params = run.data.params
    return {name: _parsed(params[name]) for name in (*FIELDS, *STUDY_FIELDS) if name in params}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a text has no quotes there
        return text
