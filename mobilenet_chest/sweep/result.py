"""The result of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.display import html_table
from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import shown_numbers
from mobilenet_chest.sweep.claims import best_trial, counted_trials, has_claimable
from mobilenet_chest.sweep.confirm import Confirmation, find_confirmation, missing_trainings
from mobilenet_chest.sweep.feasibility import violations
from mobilenet_chest.sweep.findings import Finding, ended_early, find_findings
from mobilenet_chest.sweep.leaderboard import front, importances, stage1_totals
from mobilenet_chest.sweep.preflight import total_trials
from mobilenet_chest.sweep.scheduler import may_begin
from mobilenet_chest.sweep.summary import TrialSummary, summarize
from mobilenet_chest.sweep.supervisor import only_failures
from mobilenet_chest.sweep.ties import Ties, find_ties
from mobilenet_chest.sweep.trial_state import is_paused

SHOWN_VIOLATIONS = 3
"""Trials that an error names where none meets the constraints."""

SHOWN_TRIALS = 10
"""Trials that a notebook shows of a result."""


@dataclass(frozen=True, repr=False)
class SweepResult:
    """The result of a sweep.

    Attributes:
        study: Name of the study.
        run_id: Its run in MLflow.
        trials: All that count, by number.
        best: The best complete trial by the study's metric.
        front: Numbers of the trials on the Pareto front; empty with a single objective.
        importances: Share of each parameter in the variance of the metric; empty where it cannot be told.
        complete: Whether the study has all its trials, and its leaders the trainings that confirm them.
        new_trials: How many trials this command has run.
        stage1: ``stage1_epochs_trained``, ``stage1_epochs_reused`` and ``saved_seconds`` of all trials together.
        confirmed: The leaders' results on fresh seeds, with ``study.confirm``.
        ties: Intervals of the trials' values, and the trials indistinguishable from the best.
        findings: What the trials say about the search itself.
        metric: The study's metric.
        direction: In which direction it gets better.
        total: How many trials the study is to have.
    """

    study: str
    run_id: str
    trials: list[TrialSummary]
    best: TrialSummary
    front: list[int]
    importances: dict[str, float]
    complete: bool
    new_trials: int
    stage1: dict[str, float]
    confirmed: Confirmation | None = None
    ties: Ties = field(default_factory=lambda: Ties({}, []))
    findings: list[Finding] = field(default_factory=list)
    metric: str = "val_auc"
    direction: Direction = "maximize"
    total: int = 0

    @property
    def shown_numbers(self) -> dict[int, str]:
        """What a person reads of each trial, by its number."""
        return {trial.number: trial.label for trial in self.trials}

    def __repr__(self) -> str:
        value = with_interval(self.best.value, self.ties.intervals.get(self.best.number))
        state = "complete" if self.complete else "not complete"
        return (
            f"<study {self.study}: {len(self.trials)} trials, {state}, best trial {self.best.label}, "
            f"{self.metric} {value}>"
        )

    def _repr_html_(self) -> str:
        paths = list(dict.fromkeys(path for trial in self.trials for path in trial.params))
        order = {"COMPLETE": 0, "PAUSED": 1, "PRUNED": 2}
        ranked = sorted(
            self.trials,
            key=lambda trial: (order.get(trial.state, 3), -as_score(trial.value or 0.0, self.direction), trial.number),
        )
        rows = [
            (
                trial.label,
                trial.state.lower(),
                with_interval(trial.value, self.ties.intervals.get(trial.number)),
                "best" if trial.number == self.best.number else "tied" if trial.number in self.ties.tied else "",
                *(number(trial.params.get(path)) for path in paths),
            )
            for trial in ranked[:SHOWN_TRIALS]
        ]
        title = f"study {self.study}: {len(self.trials)} trials{'' if self.complete else ', not complete'}"
        return html_table(title, ("trial", "state", self.metric, "", *paths), rows, "In brackets: 95% intervals.")


def build_result(config: Config, study: optuna.Study, parent_run: str, new_trials: int) -> SweepResult:
    """Return the result of a study's trials, without their confirmation.

    Args:
        config: The experiment.
        study: Its study.
        parent_run: Its run in MLflow.
        new_trials: How many trials this command has run.

    Raises:
        SweepFailed: No trial was completed.
    """
    counted = counted_trials(study)
    best = best_trial(study)
    if best is None:
        if gone := study.user_attrs.get(attributes.GONE):
            shown = shown_numbers(study)
            named = "; ".join(shown[number] for number in gone)
            raise SweepFailed(
                f"study '{config.study_name}': the runs of its trials {named} are not in MLflow any more; bring them "
                "back with `mlflow runs restore`, set MLFLOW_TRACKING_URI to the store that has them, or start "
                "another study with --study NAME"
            )
        complete = [trial for trial in counted if trial.state == TrialState.COMPLETE]
        if violating := [summarize(trial, study.get_trials(deepcopy=False)) for trial in complete if violations(trial)]:
            listed = "; ".join(f"trial {t.label}: {', '.join(t.violates)}" for t in violating[:SHOWN_VIOLATIONS])
            raise SweepFailed(
                f"study '{config.study_name}': no trial meets study.constraints ({listed}); give it more trials, "
                "or start another study with --study NAME and other constraints"
            )
        reasons = [reason for trial in counted if (reason := trial.user_attrs.get(attributes.REASON))]
        cause = f"the last failure: {reasons[-1]}" if reasons else "no trial was begun"
        if paused := sum(map(is_paused, counted)):
            cause = f"{paused} are paused; run the same command to continue"
        what = "its first trials all failed" if only_failures(study) else "no trial was completed"
        raise SweepFailed(f"study '{config.study_name}': {what}; {cause}")
    all_trials = study.get_trials(deepcopy=False)
    trials = [summarize(trial, all_trials) for trial in counted]
    all_begun = len(counted) >= total_trials(config)
    ended = (all_begun or not may_begin(study, all_trials, config)) and not has_claimable(study, all_trials, config)
    ties = find_ties(config.study.metric, trials, summarize(best, all_trials), parent_run)
    findings = find_findings(config, counted, ties.tied)
    paused = sum(map(is_paused, counted))
    if ended and config.study.scheduler == "freeze_thaw" and (paused or not all_begun):  # asha leaves some in any case
        findings.append(ended_early(config, len(counted), paused))
    return SweepResult(
        study=config.study_name,
        run_id=parent_run,
        trials=trials,
        best=summarize(best, all_trials),
        front=front(study),
        importances=importances(study),
        complete=ended,
        new_trials=new_trials,
        stage1=stage1_totals(study),
        ties=ties,
        findings=findings,
        metric=config.study.metric,
        direction=config.study.direction,
        total=total_trials(config),
    )


def with_confirmation(config: Config, study: optuna.Study, url: str, result: SweepResult) -> SweepResult:
    """Return a result together with its confirmation, where the experiment wants one and all trials are there."""
    if config.study.confirm is None or not result.complete:
        return result
    missing = missing_trainings(config, study, total_trials(config), url)
    return replace(result, confirmed=find_confirmation(config, study, url), complete=not missing)
