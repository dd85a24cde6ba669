"""Choose one choice of an ablation by two metrics, seed by seed: ``python …/choices_compared.py ABLATION.json``.

``ABLATION.json`` is what ``mobilenet-chest ablate … --json`` printed. For each seed, one metric chooses a training and
the other one chooses a training. The script prints what they chose, and a row for each metric: the means over the
seeds, and first minus second with the 95% interval of the paired differences. It reads MLflow only, never test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from seeds_compared import METRICS, Compared, as_program, paired, print_table

from mobilenet_chest.combine.ablate import Settings, settings_text
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.errors import UserError, allowed_names
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect

CHOOSE_BY = ("stress_auc_mean", "val_auc")
"""Stressed and clean validation."""


@dataclass(frozen=True)
class Training:
    """One training of an ablation: a choice in a seed.

    Attributes:
        choice: Its settings as on the command line; ``baseline`` for none.
        metrics: Of its run.
        run_id: The run.
    """

    choice: str
    metrics: Mapping[str, float]
    run_id: str


def trainings(client: MlflowClient, path: Path) -> list[list[Training]]:
    """Return the trainings of an ablation: for each seed, in order, those of all its choices.

    Args:
        client: Of the store that has the runs.
        path: What ``ablate --json`` printed.

    Raises:
        UserError: The file is not that, or its choices have different numbers of seeds.
        TrackingError: A run is not there.
    """
    try:
        rows: list[tuple[Settings, list[str]]] = [
            (row["choice"], row["run_ids"]) for row in json.loads(path.read_text("utf-8"))["rows"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not what `mobilenet-chest ablate … --json` prints ({error})") from error
    if len({len(run_ids) for _, run_ids in rows}) != 1:
        raise UserError(f"{path}: choices have different numbers of seeds; ablate them together")
    by_choice = [
        [Training(settings_text(choice), metrics_of(get_run(client, run_id)), run_id) for run_id in run_ids]
        for choice, run_ids in rows
    ]
    return [list(of_seed) for of_seed in zip(*by_choice, strict=True)]


def chosen(by_seed: Sequence[Sequence[Training]], metric: str) -> list[Training]:
    """Return what a metric chooses in each seed; of equal ones the first.

    Raises:
        UserError: A training lacks the metric.
    """
    metrics = [training.metrics for of_seed in by_seed for training in of_seed]
    if not all(metric in each for each in metrics):
        known = sorted(set.intersection(*map(set, metrics)))
        raise UserError(f"not all trainings have {metric}{allowed_names(metric, known)}")
    direction = best_direction(metric)
    return [max(of_seed, key=lambda training: as_score(training.metrics[metric], direction)) for of_seed in by_seed]


def compared(
    by_seed: Sequence[Sequence[Training]], choose_by: tuple[str, str], metrics: tuple[str, ...] = METRICS
) -> list[Compared]:
    """Return each metric of what two metrics choose, paired by seed.

    Raises:
        UserError: A training lacks a metric.
    """
    first, second = (
        {number: training.metrics for number, training in enumerate(chosen(by_seed, metric))} for metric in choose_by
    )
    return paired(choose_by, (first, second), metrics)


def main() -> None:
    """Read the command line and print what was chosen, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path)
    parser.add_argument("--by", nargs=2, default=CHOOSE_BY, metavar="METRIC", help=f"by default {CHOOSE_BY}")
    given = parser.parse_args()
    by_seed, choose_by = trainings(connect(to_read=True), given.ablation), (given.by[0], given.by[1])
    rows = compared(by_seed, choose_by)
    for metric in choose_by:
        print(f"{metric} chose: {', '.join(training.choice for training in chosen(by_seed, metric))}")
    print()
    print_table(*choose_by, rows)


if __name__ == "__main__":
    as_program(main)
