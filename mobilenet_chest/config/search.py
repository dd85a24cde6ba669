"""The two sections that make an experiment a sweep: ``search`` and ``study``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mobilenet_chest.config.metrics import EPOCH_METRICS, FINAL_METRICS, best_direction
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import nearest

FOLDS = 5
"""Of ``study.resampling: kfold``, where ``study.folds`` does not say."""

Scalar = bool | int | float | str
Choice = Scalar | None | tuple[Scalar, ...]


class Distribution(Section):
    """Values that a sweep may give to one field: a range (low, high) or a list of choices."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(False, description="Sample the logarithm uniformly.")
    step: float | None = Field(None, gt=0, description="Distance between allowed values.")
    choices: tuple[Choice, ...] | None = Field(None, min_length=1)
    when: dict[str, Scalar] = Field({}, description="Only when these searched fields have these values.")

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("give either choices, or low and high")
            if len({repr(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"choices {list(self.choices)} holds a value twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a distribution needs low and high, or choices")
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is greater than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs low above 0, not {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class ConfirmConfig(Section):
    """How the leaders of a study are confirmed before one is chosen."""

    top: int = Field(3, ge=1, description="How many of the best trials are trained again.")
    seeds: int = Field(5, ge=2, description="On how many fresh seeds each.")


class StudyConfig(Section):
    """How the search goes about it."""

    name: str | None = Field(None, min_length=1, description="Name of the study; the file's name when unset.")
    trials: int = Field(20, ge=1, description="Trials in all; running again continues up to this number.")
    max_retries: int = Field(
        3, ge=0, description="How often a trial that took its worker with it is run again before it counts as failed."
    )
    lease_seconds: float = Field(
        60.0,
        ge=1,
        description="A trial whose worker cannot be asked (it is stopped, or on another machine) and has given no sign "
        "of life for this long is taken from it and run by another.",
    )
    sampler: Literal["tpe", "random", "qmc", "grid"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    budget: Literal["epoch", "phase"] = Field(
        "epoch", description="When the pruner decides: after every epoch, or at the end of each phase of stage 2."
    )
    resampling: Literal["holdout", "reshuffle", "kfold"] = Field(
        "holdout",
        description="Rows that a trial is trained and scored on. holdout: the same for all; reshuffle: each trial "
        "divides train and val anew; kfold: each trains on all folds of train and val, and its value is their mean.",
    )
    folds: int | None = Field(None, ge=2, description=f"Folds of resampling: kfold; {FOLDS} when unset.")
    metric: str = Field("val_auc", description=f"What to optimise: {', '.join(FINAL_METRICS)}.")
    direction: Literal["maximize", "minimize"] = "maximize"
    also: tuple[Literal["latency_1_ms", "parameters", "train_seconds"], ...] = Field(
        (), max_length=2, description="Further objectives, to minimize: the sweep's report shows the Pareto front."
    )
    confirm: ConfirmConfig | None = Field(
        None, description="Train the leaders again on fresh seeds, and choose by their mean; null: the best trial wins."
    )

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in FINAL_METRICS:
            allowed = ", ".join(FINAL_METRICS)
            raise ValueError(f"unknown metric '{value}'{nearest(value, FINAL_METRICS)} Allowed: {allowed}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.direction != best_direction(self.metric):
            raise ValueError(f"direction: {self.metric} is to {best_direction(self.metric)}, not to {self.direction}")
        if len(set(self.also)) < len(self.also):
            raise ValueError(f"also names {', '.join(self.also)}: an objective twice")
        if self.pruner != "none" and self.also:
            raise ValueError(
                f"pruner '{self.pruner}' cannot prune with several objectives (also: {', '.join(self.also)}): a trial "
                "that is behind in one may be ahead in another; set pruner: none"
            )
        if self.resampling != "kfold" and self.folds is not None:
            raise ValueError(
                f"folds {self.folds} are for resampling: kfold, and it is {self.resampling}; leave one of them out"
            )
        if self.resampling == "kfold" and self.budget == "phase":
            raise ValueError(
                "budget: phase decides within a training, and with resampling: kfold the pruner decides between them, "
                "after each fold; leave one of them out"
            )
        if self.pruner != "none" and self.resampling != "kfold" and self.metric not in EPOCH_METRICS:
            raise ValueError(
                f"pruner '{self.pruner}' needs a metric known after every epoch ({', '.join(EPOCH_METRICS)}), "
                f"and {self.metric} is not; set pruner: none"
            )
        return self

    @property
    def trainings(self) -> int:
        """Of a trial: one for each fold, or one."""
        return (self.folds or FOLDS) if self.resampling == "kfold" else 1
