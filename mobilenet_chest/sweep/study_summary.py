"""A study in short: what later studies learn from, and what ``studies export`` writes for other stores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, model_validator

from mobilenet_chest.config import Choice, Distribution
from mobilenet_chest.config.data import CHEST
from mobilenet_chest.config.metrics import Direction
from mobilenet_chest.config.section import Section, StudyName
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import counts, direction_of, value_of
from mobilenet_chest.sweep.feasibility import feasible
from mobilenet_chest.sweep.repeats import took_result
from mobilenet_chest.sweep.space import from_stored, outside
from mobilenet_chest.sweep.stored_study import stored_search, stored_studies
from mobilenet_chest.sweep.trial_state import is_paused

MOST_TRIALS = 10_000
"""Trials that a summary may have."""

MOST_EPOCHS = 10_000
"""Epochs that a curve may have."""

MOST_LETTERS = 200
"""Of a name of data."""


class TrialRecord(Section):
    """A trial of a summarised study."""

    number: int = Field(ge=0, description="Its number.")
    state: Literal["COMPLETE", "PRUNED", "FAIL"] = Field(description="How it ended; a paused trial is PRUNED.")
    params: dict[str, Choice] = Field(max_length=200, description="Path of each searched field -> its value.")
    value: float | None = Field(description="Value of the study's metric.")
    seconds: float | None = Field(ge=0, description="How long it took.")
    feasible: bool = Field(True, description="Whether it met the study's constraints.")
    curve: dict[Annotated[int, Field(gt=0)], float] = Field(
        {}, max_length=MOST_EPOCHS, description="Epoch of stage 2 -> value of the study's metric after it."
    )

    @model_validator(mode="after")
    def _complete_has_a_value(self) -> Self:
        if self.state == "COMPLETE" and self.value is None:
            raise ValueError(f"trial {self.number} is COMPLETE and has no value; give one, or another state")
        return self


class DataRecord(Section):
    """The data of a summarised study: which they are, not where they lie."""

    dataset: str | None = Field(None, max_length=MOST_LETTERS, description="Name of the data set.")
    digest: str | None = Field(None, pattern="^[0-9a-f]{8,64}$", description="Digest of its rows.")


class StudySummary(Section):
    """A study in short. Its trials have values in its search space."""

    name: StudyName = Field(description="Name of the study.")
    metric: str = Field(max_length=200, description="Its metric.")
    direction: Direction = Field(description="In which direction that gets better.")
    data: DataRecord = DataRecord()
    search: dict[str, Distribution] = Field(max_length=200, description="Its search space.")
    stage2_epochs: int | None = Field(None, gt=0, description="Epochs of stage 2, the same of all trials with a curve.")
    trials: tuple[TrialRecord, ...] = Field(max_length=MOST_TRIALS, description="Its trials that have ended.")

    @model_validator(mode="after")
    def _within_the_space(self) -> Self:
        for trial in self.trials:
            if (wrong := outside(self.search, _as_stored(trial.params))) is not None:
                raise ValueError(f"trial {trial.number} has {wrong}")
        return self


def _as_stored(params: dict[str, Choice]) -> dict[str, Choice]:
    return {path: json.dumps(value) if isinstance(value, tuple) else value for path, value in params.items()}


def summarize_study(study: optuna.Study) -> StudySummary | None:
    """Return a stored study in short; ``None`` for a confirmation, and for a study of another program.

    A study that was imported is its summary.
    """
    if (imported := study.user_attrs.get(attributes.IMPORTED)) is not None:
        return StudySummary.model_validate(imported)
    search = stored_search(study)
    if not search or attributes.CONFIRMS in study.user_attrs:
        return None
    definition = json.loads(study.user_attrs[attributes.DEFINITION])
    trials = [t for t in study.get_trials(deepcopy=False) if counts(t) and not took_result(t)]
    # absent where they are searched
    frozen, epochs = (definition.get(f"stage{number}.epochs") for number in (1, 2))
    has_curves = frozen is not None and bool(epochs) and definition.get("study.resampling") != "kfold"  # folds are none
    return StudySummary(
        name=study.study_name,
        metric=definition["study.metric"],
        direction=direction_of(study),
        data=DataRecord(dataset=_data_name(study, definition)),
        search=search,
        stage2_epochs=epochs if has_curves else None,
        trials=tuple(
            _record(trial, search, frozen if has_curves else None)
            for trial in trials
            if outside(search, trial.params) is None
        ),
    )


def _data_name(study: optuna.Study, definition: Mapping[str, Any]) -> str | None:
    """Return what the experiment calls its data."""
    name, path = definition.get("data.dataset"), definition.get("data.path")
    if path is not None and name == CHEST:  # which a definition has for a user's own file, too
        name = Path(path).stem
    name = study.user_attrs.get(attributes.DATA_NAME) or name  # studies of before have kept none
    return None if name is None else str(name)[:MOST_LETTERS]


def _record(trial: FrozenTrial, search: dict[str, Distribution], frozen: int | None) -> TrialRecord:
    """Return a trial; with a curve where the epochs of stage 1, ``frozen``, are given."""
    seconds = None if trial.duration is None else round(trial.duration.total_seconds(), 3)
    return TrialRecord(
        number=trial.number,
        state="PRUNED" if is_paused(trial) else trial.state.name,
        params={path: from_stored(search[path], value) for path, value in trial.params.items()},
        value=value_of(trial),
        seconds=seconds,
        feasible=feasible(trial),
        curve={} if frozen is None else _curve(trial, frozen),
    )


def _curve(trial: FrozenTrial, frozen: int) -> dict[int, float]:
    values = trial.intermediate_values.items()
    return {epoch - frozen: value for epoch, value in values if epoch > frozen and math.isfinite(value)}


def summaries(url: str, resting: bool = False) -> list[StudySummary]:
    """Return the studies of a storage that have a complete trial, imported ones included, each in short.

    Args:
        url: The storage.
        resting: Leave out studies with a trial that runs or is queued: they would be others in an hour.
    """
    found = [summarize_study(study) for study in stored_studies(url) if not (resting and _goes_on(study))]
    return [summary for summary in found if summary and any(t.state == "COMPLETE" for t in summary.trials)]


def _goes_on(study: optuna.Study) -> bool:
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
    return not all(map(is_paused, trials))
