"""The selection budget of a run: from how much it was chosen. The best of many trials looks better than it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.evaluation.thresholds import threshold_grid
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_settings import settings_of
from mobilenet_chest.tracking.runs import STUDIES, Candidate, search_runs


@dataclass(frozen=True)
class Budget:
    """How much selection went into a run's metrics.

    Attributes:
        trials: Number of trials that it is the best of; 1 without a study.
        members: Number of trainings that it averages; 1 for a single network.
        seeds: Number of fresh seeds on which the best trials were trained again before the choice; 0 for none.
        epochs: Most epochs of a training, over both stages; the best epoch is chosen.
        thresholds: Number of thresholds that the decision threshold was chosen from.
        resampling: ``study.resampling`` of its study; ``holdout`` without a study.
    """

    trials: int = 1
    members: int = 1
    seeds: int = 0
    epochs: int = 0
    thresholds: int = 0
    resampling: str = "holdout"


def budget(client: MlflowClient, candidate: Candidate) -> Budget:
    """Return the selection budget of one run; for several, :func:`budgets` asks the store once."""
    return budgets(client, [candidate])[0]


def budgets(client: MlflowClient, candidates: Sequence[Candidate]) -> list[Budget]:
    """Return the selection budget of each run, from the records of the runs and their studies.

    A trial that is named by its run id counts as chosen from its study too. Trials outside a study (the best of five
    single trainings, settings changed by hand) are not on record and not counted.
    """
    parents = {c.run.data.tags.get(tags.PARENT_RUN) for c in candidates if c.study is None} - {None}
    studies: dict[str, Run] = {}
    if parents:
        experiments = sorted({c.run.info.experiment_id for c in candidates})
        studies = {run.info.run_id: run for run in search_runs(client, experiments, STUDIES)}
    return [_budget(c.run, c.study or _study_of(c.run, studies)) for c in candidates]


def _study_of(run: Run, studies: Mapping[str, Run]) -> Run | None:
    """Return the study, of those given by run id, that chose a trial, or the trial that a compressed run is of."""
    run_tags = run.data.tags
    if run_tags.get(tags.KIND) == tags.COMPRESSED_KIND and tags.STUDY in run_tags:
        return next((study for study in studies.values() if study.data.tags[tags.STUDY] == run_tags[tags.STUDY]), None)
    return studies.get(run_tags.get(tags.PARENT_RUN, ""))


def budget_difference(first: Budget, second: Budget) -> str | None:
    """Return how the budgets of a run and its baseline differ, in one line; ``None`` where they do not."""
    parts = []
    if first.trials != second.trials or first.seeds != second.seeds:
        part = f"chosen from {_trials(first)}, the baseline from {_trials(second)}"
        larger = max((first, second), key=lambda budget: budget.trials)
        # fresh seeds after the search measure the chosen trial anew, without the optimism of the choice
        if first.trials != second.trials and not larger.seeds:
            part += ": its metrics are optimistic" if larger is first else ": the baseline's metrics are optimistic"
        parts.append(part)
    for name, unit in (("members", "trainings averaged"), ("epochs", "epochs at most"), ("thresholds", "thresholds")):
        if getattr(first, name) != getattr(second, name):
            parts.append(f"{getattr(first, name)} {unit}, the baseline {getattr(second, name)}")
    if first.resampling != second.resampling:
        parts.append(f"resampling {first.resampling}, the baseline {second.resampling}")
    return "; ".join(parts) or None


def _trials(budget: Budget) -> str:
    seeds = f" and {budget.seeds} fresh seeds" if budget.seeds else ""
    return f"{budget.trials} trial{'s' * (budget.trials != 1)}{seeds}"


def _budget(run: Run, study: Run | None) -> Budget:
    run_tags = run.data.tags
    return Budget(
        trials=1 if study is None else _number_of_trials(study),
        members=len(run_tags[tags.MEMBERS].split(",")) if tags.MEMBERS in run_tags else 1,
        seeds=0
        if study is None or not study.data.tags.get(tags.CONFIRMED_RUN)
        else _number(study, "study.confirm.seeds"),
        epochs=_number(run, "stage1.epochs") + _number(run, "stage2.epochs"),
        thresholds=_thresholds(settings_of(run)),
        resampling="holdout" if study is None else settings_of(study).get("study.resampling", "holdout"),
    )


def _number_of_trials(study: Run) -> int:
    """Return the number of a study's trials; while none has ended, the number that it is to have."""
    ended = [metrics_of(study).get(f"trials_{state}", 0) for state in ("complete", "pruned", "fail")]
    return int(sum(ended)) or _number(study, "study.trials")


def _number(run: Run, name: str) -> int:
    return int(settings_of(run).get(name, 0))


def _thresholds(settings: Mapping[str, Any]) -> int:
    low, high, step = (settings.get(f"evaluation.threshold_{name}") for name in ("low", "high", "step"))
    return 0 if low is None or high is None or step is None else len(threshold_grid(*map(float, (low, high, step))))
