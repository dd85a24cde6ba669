"""The sections ``search`` and ``study``, which make an experiment a sweep."""

from __future__ import annotations

import shlex
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mobilenet_chest import plugins
from mobilenet_chest.config.constraints import parse_constraints
from mobilenet_chest.config.metrics import (
    EPOCH_METRICS,
    FINAL_METRICS,
    STRESS_METRICS,
    CostMetric,
    Direction,
    StressMetric,
    best_direction,
    is_epoch_metric,
)
from mobilenet_chest.config.schedulers import AshaConfig, FreezeThawConfig, StopWhenConfig
from mobilenet_chest.config.section import Section, StudyName
from mobilenet_chest.errors import allowed_names

DEFAULT_FOLDS = 5
"""Folds of ``study.resampling: kfold`` where ``study.folds`` is unset."""

WILCOXON_FOLDS = 5
"""The fewest folds for which pruner: wilcoxon can spare one: its p is below 0.1 after four folds at the earliest."""

Scalar = bool | int | float | str
Choice = Scalar | None | tuple[Scalar, ...]


class Distribution(Section):
    """Values that a sweep may give to one field: a range (low, high) or a list of choices."""

    low: float | None = Field(None, description="Lowest value of a range.")
    high: float | None = Field(None, description="Highest value of a range.")
    log: bool = Field(False, description="Sample the logarithm uniformly.")
    step: float | None = Field(None, gt=0, description="Distance between allowed values.")
    choices: tuple[Choice, ...] | None = Field(None, min_length=1, description="The values, instead of a range.")
    when: dict[str, Choice] = Field(
        {}, description="Search the field only where these searched fields have these values."
    )
    prior: Choice = Field(
        None,
        description="Value that is expected to be good: the first trial has it, and the next ones are drawn around it "
        "more often than elsewhere.",
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("choices and a range exclude each other; give either choices, or low and high")
            if len({repr(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"choices {list(self.choices)} holds a value twice; remove one")
            self._check_prior(single=len(self.choices) == 1)
            return self
        if self.low is None or self.high is None:
            raise ValueError("a distribution needs low and high, or choices; give one of them")
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is greater than high {self.high:g}; swap them")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs low above 0, not {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError(f"log and step {self.step:g} exclude each other; remove one of them")
        self._check_prior(single=self.low == self.high)
        if self.prior is not None:
            self._check_prior_in_range(self.low, self.high)
        return self

    def _check_prior(self, single: bool) -> None:
        if self.prior is not None and single:
            raise ValueError(f"prior {self.prior!r}: the field has one value only; remove prior, or search more values")

    def _check_prior_in_range(self, low: float, high: float) -> None:
        if isinstance(self.prior, bool) or not isinstance(self.prior, int | float):
            raise ValueError(f"prior {self.prior!r} is not a number; write one from {low:g} to {high:g}")
        if not low <= self.prior <= high:
            raise ValueError(f"prior {self.prior:g} is outside of the range; write a number from {low:g} to {high:g}")
        steps = 0.0 if self.step is None else (self.prior - low) / self.step
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"prior {self.prior:g} is between two steps of {self.step:g} from {low:g}; write one")


class ConfirmConfig(Section):
    """How the leading trials of a study are confirmed before one is chosen."""

    top: int = Field(3, ge=1, description="Number of best trials that are trained again.")
    seeds: int = Field(5, ge=2, description="Number of fresh seeds that each is trained on.")


class StudyConfig(Section):
    """The study: number of trials, sampler, pruner, rows, metric and confirmation."""

    name: StudyName | None = Field(None, description="Name of the study; `name` when unset.")
    trials: int = Field(20, ge=1, description="Number of trials; running the sweep again continues up to this number.")
    workers: int = Field(
        1, ge=1, description="Processes of this machine that share trials and cores; `--workers` goes before it."
    )
    max_retries: int = Field(
        3, ge=0, description="How often a trial whose worker died is run again before it counts as failed."
    )
    lease_seconds: float = Field(
        60.0,
        ge=1,
        description="If a worker's heartbeat is missed for this long, its trial is revoked and run by another worker. "
        "A worker that has died on this machine is noticed at once.",
    )
    sampler: Literal["tpe", "gp", "cmaes", "random", "qmc", "grid", "auto"] = Field(
        "tpe",
        description="How values are proposed; gp: Gaussian process, cmaes: CMA-ES (extra cmaes), qmc: quasi-random, "
        "grid: every combination once, auto: tpe, gp or cmaes by the search space, and it says which.",
    )
    pruner: Literal["median", "hyperband", "wilcoxon", "none"] = Field(
        "median",
        description="How trials that are unlikely to win are stopped early; wilcoxon: by a test against the best one, "
        "fold by fold, with resampling: kfold; none: no pruning.",
    )
    scheduler: Literal["none", "asha", "freeze_thaw"] = Field(
        "none",
        description="asha: a trial is paused at a rung, with its checkpoint, and goes on once it belongs to the best "
        "of that rung; freeze_thaw: the next epochs go to the trial, begun or new, that is expected to gain most in a "
        "second, told from all learning curves; both need pruner: none.",
    )
    asha: AshaConfig = AshaConfig()
    freeze_thaw: FreezeThawConfig = FreezeThawConfig()
    stop_when: StopWhenConfig | None = Field(
        None,
        description="End of a study with scheduler: freeze_thaw; null: no trial is expected to gain 0.001 an hour.",
    )
    budget: Literal["epoch", "phase"] = Field(
        "epoch", description="When the pruner decides: after every epoch, or at the end of each phase of stage 2."
    )
    resampling: Literal["holdout", "reshuffle", "kfold"] = Field(
        "holdout",
        description="Rows that a trial is trained and scored on. holdout: the same rows for all; reshuffle: each trial "
        "divides train and val again; kfold: each trial trains once per fold, and its value is the mean of the folds.",
    )
    folds: int | None = Field(None, ge=2, description=f"Folds of resampling: kfold; {DEFAULT_FOLDS} when unset.")
    leave_out: Literal["site"] | None = Field(
        None,
        description="site: the folds of resampling: kfold are the sites of the file, so each trial trains leaving out "
        "one site in turn. Needs the columns train_site and val_site.",
    )
    metric: str = Field(
        "val_auc",
        description=f"Metric to optimise: {', '.join(FINAL_METRICS)}, a plugin's metric, or with evaluation.stress "
        f"{', '.join(STRESS_METRICS)}.",
    )
    direction: Direction = Field("maximize", description="minimize for val_loss, maximize for all other metrics.")
    also: tuple[CostMetric | StressMetric, ...] = Field(
        (),
        max_length=2,
        description="Further objectives, costs minimized and stress metrics maximized: the sweep's report shows the "
        "Pareto front.",
    )
    constraints: tuple[str, ...] = Field(
        (),
        description="What the best trial must meet, such as latency_1_ms <= 5: a metric or a cost, <= or >=, a number.",
    )
    notify: str | None = Field(
        None,
        min_length=1,
        description="Program, with its arguments, that gets an event of the sweep as JSON on its standard input.",
    )
    learn_from: Literal["all"] | tuple[StudyName, ...] = Field(
        (),
        description="Earlier studies, in the same database or imported, whose good configurations are tried first, and "
        "whose trials the samplers tpe and gp see; all: each that searches one of the same fields.",
    )
    confirm: ConfirmConfig | None = Field(
        None, description="Train the leaders again on fresh seeds and choose by the mean; null: the best trial wins."
    )

    @property
    def stop_rule(self) -> StopWhenConfig:
        """``stop_when``, or what holds where it is not given."""
        return self.stop_when or StopWhenConfig()

    @model_validator(mode="before")
    @classmethod
    def _sites_are_folds(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("leave_out") is not None:
            return {"resampling": "kfold"} | value
        return value

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in FINAL_METRICS and not is_epoch_metric(value):
            known = [*FINAL_METRICS, *STRESS_METRICS, *plugins.names("metric")]
            raise ValueError(f"unknown metric '{value}'{allowed_names(value, known)}")
        return value

    @field_validator("constraints")
    @classmethod
    def _readable_constraints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(str, parse_constraints(value)))

    @field_validator("learn_from", mode="before")
    @classmethod
    def _one_study_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) and value != "all" else value

    @field_validator("notify")
    @classmethod
    def _readable_command(cls, value: str | None) -> str | None:
        try:
            if value is not None and not shlex.split(value):
                raise ValueError("names no program")
        except ValueError as error:
            raise ValueError(f"notify {value!r}: {error}; write a program and its arguments as in a shell") from None
        return value

    @model_validator(mode="after")
    def _sampler_can(self) -> Self:
        if self.sampler == "cmaes" and self.also:
            raise ValueError(
                f"sampler cmaes has one objective, and also adds {', '.join(self.also)}; use tpe or gp, or remove also"
            )
        if self.sampler == "cmaes" and self.constraints:
            raise ValueError(
                f"sampler cmaes does not learn from constraints ({', '.join(self.constraints)}); use tpe or gp"
            )
        if self.sampler == "grid" and self.learn_from:
            raise ValueError("sampler grid tries every combination once, so learn_from changes nothing; remove it")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.direction != best_direction(self.metric):
            best = best_direction(self.metric)
            raise ValueError(
                f"direction {self.direction}: {self.metric} gets better the other way; set direction: {best}"
            )
        if self.metric in self.also:
            raise ValueError(f"also: {self.metric} is the metric already; remove it from also")
        if len(set(self.also)) < len(self.also):
            raise ValueError(f"also names an objective twice: {', '.join(self.also)}; remove one")
        if self.pruner != "none" and self.also:
            raise ValueError(
                f"pruner '{self.pruner}' cannot prune with several objectives (also: {', '.join(self.also)}): a trial "
                "that is behind in one may be ahead in another; set pruner: none"
            )
        if self.resampling != "kfold" and self.folds is not None:
            raise ValueError(f"folds {self.folds} are for resampling: kfold, not {self.resampling}; remove one of them")
        if self.leave_out is not None and self.resampling != "kfold":
            raise ValueError(
                f"leave_out: {self.leave_out} makes the sites the folds of resampling: kfold, and resampling is "
                f"{self.resampling}; remove one of them"
            )
        if self.leave_out is not None and self.folds is not None:
            raise ValueError(
                f"leave_out: {self.leave_out} makes as many folds as there are sites; remove folds {self.folds}"
            )
        if self.resampling == "kfold" and self.budget == "phase":
            raise ValueError(
                "budget: phase prunes within a training, but with resampling: kfold the pruner decides between "
                "trainings, after each fold; remove one of them"
            )
        if self.pruner == "wilcoxon":
            self._check_wilcoxon()
        self._check_scheduler()
        if self.pruner != "none" and self.resampling != "kfold" and not is_epoch_metric(self.metric):
            raise ValueError(
                f"pruner '{self.pruner}' needs a metric known after every epoch ({', '.join(EPOCH_METRICS)}), "
                f"and {self.metric} is not; set pruner: none"
            )
        return self

    def _check_wilcoxon(self) -> None:
        if self.resampling != "kfold":
            raise ValueError(
                f"pruner 'wilcoxon' compares trials fold by fold, and resampling is {self.resampling}; set resampling: "
                "kfold, or pruner: median"
            )
        if self.folds is not None and self.folds < WILCOXON_FOLDS:
            raise ValueError(
                f"pruner 'wilcoxon' can decide after four folds at the earliest, and folds is {self.folds}; set folds: "
                f"{WILCOXON_FOLDS} or more, or pruner: median"
            )

    def _check_scheduler(self) -> None:
        if self.scheduler != "asha" and self.asha != AshaConfig():
            raise ValueError(f"asha has fields, but scheduler is {self.scheduler}; set scheduler: asha, or remove asha")
        if self.scheduler != "freeze_thaw":
            given = {"freeze_thaw": self.freeze_thaw != FreezeThawConfig(), "stop_when": self.stop_when is not None}
            for name in (name for name, is_given in given.items() if is_given):
                raise ValueError(
                    f"{name} is given, but scheduler is {self.scheduler}; set scheduler: freeze_thaw, or remove {name}"
                )
        if self.scheduler == "none":
            return
        if self.pruner != "none":
            raise ValueError(
                f"scheduler '{self.scheduler}' pauses trials, and pruner '{self.pruner}' ends them; set pruner: none"
            )
        if self.resampling == "kfold":
            raise ValueError(
                f"scheduler '{self.scheduler}' pauses within a training, but with resampling: kfold a trial is a "
                "training for each fold; set resampling: holdout or reshuffle, or scheduler: none"
            )
        if self.also:
            raise ValueError(
                f"scheduler '{self.scheduler}' cannot rank trials by several objectives (also: "
                f"{', '.join(self.also)}); remove also, or set scheduler: none"
            )
        if self.metric in STRESS_METRICS or not is_epoch_metric(self.metric):
            raise ValueError(
                f"scheduler '{self.scheduler}' needs a metric known after every epoch ({', '.join(EPOCH_METRICS)}), "
                f"and {self.metric} is not; set another metric, or scheduler: none"
            )
