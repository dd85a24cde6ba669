"""What a run was chosen from: a lead over a baseline that was chosen from less is partly the choice's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.evaluation.thresholds import threshold_grid
from mobilenet_chest.tracking.runs import Candidate, search_runs
from mobilenet_chest.tracking.tags import CONFIRMED_RUN


@dataclass(frozen=True)
class Budget:
    """How much selection stands behind a run's figures.

    Attributes:
        trials: Trials that it is the best of; 1 for a training of its own.
        members: Trainings that it averages; 1 for a network.
        seeds: Fresh seeds on which the leaders of its study were trained again before the choice; 0 for none.
        epochs: Epochs of a training at most, over both stages: the best of them is taken.
        thresholds: How many the decision threshold was chosen from.
        resampling: ``study.resampling`` of its study; ``holdout`` without one.
    """

    trials: int = 1
    members: int = 1
    seeds: int = 0
    epochs: int = 0
    thresholds: int = 0
    resampling: str = "holdout"


def budget(client: MlflowClient, candidate: Candidate) -> Budget:
    """The selection budget of one run; for several, :func:`budgets` asks the store once."""
    return budgets(client, [candidate])[0]


def budgets(client: MlflowClient, candidates: Sequence[Candidate]) -> list[Budget]:
    """The selection budget of each run, from what the runs and their studies say of themselves.

    A trial that is named by its own id counts as chosen from its study all the same. What was tried outside of a study
    (the best of five single trainings, settings changed by hand) nobody has recorded, and it is not counted.
    """
    parents = {c.run.data.tags.get("mlflow.parentRunId") for c in candidates if c.study is None} - {None}
    studies: dict[str, Run] = {}
    if parents:
        experiments = sorted({c.run.info.experiment_id for c in candidates})
        studies = {run.info.run_id: run for run in search_runs(client, experiments, "tags.kind = 'study'")}
    return [_budget(c.run, c.study or studies.get(c.run.data.tags.get("mlflow.parentRunId", ""))) for c in candidates]


def budget_difference(first: Budget, second: Budget) -> str | None:
    """In what the selection of a run and of its baseline differ, in one line; ``None`` where it does not."""
    said = []
    if first.trials != second.trials or first.seeds != second.seeds:
        text = f"chosen from {_trials(first)}, the baseline from {_trials(second)}"
        flattered = max((first, second), key=lambda one: one.trials)
        if first.trials != second.trials and not flattered.seeds:
            text += ": its figures are flattered" if flattered is first else ": the baseline's are flattered"
        said.append(text)
    for name, what in (("members", "trainings averaged"), ("epochs", "epochs at most"), ("thresholds", "thresholds")):
        if getattr(first, name) != getattr(second, name):
            said.append(f"{getattr(first, name)} {what}, the baseline {getattr(second, name)}")
    if first.resampling != second.resampling:
        said.append(f"resampling {first.resampling}, the baseline {second.resampling}")
    return "; ".join(said) or None


def _trials(one: Budget) -> str:
    return f"{one.trials} trial{'s' * (one.trials != 1)}" + f" and {one.seeds} fresh seeds" * bool(one.seeds)


def _budget(run: Run, study: Run | None) -> Budget:
    tags = run.data.tags
    return Budget(
        trials=1 if study is None else _tried(study),
        members=len(tags["members"].split(",")) if "members" in tags else 1,
        seeds=0 if study is None or not study.data.tags.get(CONFIRMED_RUN) else _number(study, "study.confirm.seeds"),
        epochs=_number(run, "stage1.epochs") + _number(run, "stage2.epochs"),
        thresholds=_thresholds(run.data.params),
        resampling="holdout" if study is None else study.data.params.get("study.resampling", "holdout"),
    )


def _tried(study: Run) -> int:
    """Trials of a study; those it is to have while it has not come to an end."""
    ended = [study.data.metrics.get(f"trials_{state}", 0) for state in ("complete", "pruned", "fail")]
    return int(sum(ended)) or _number(study, "study.trials")


def _number(run: Run, name: str) -> int:
    return int(json.loads(run.data.params.get(name, "0")))


def _thresholds(params: Mapping[str, str]) -> int:
    low, high, step = (params.get(f"evaluation.threshold_{name}") for name in ("low", "high", "step"))
    return 0 if low is None or high is None or step is None else len(threshold_grid(*map(float, (low, high, step))))
