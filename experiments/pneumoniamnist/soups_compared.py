"""Compare uniform soups with their first member: ``python …/soups_compared.py ABLATION.json CHOICE [CHOICE …]``.

``ABLATION.json`` is what ``mobilenet-chest ablate … --json`` printed, and a choice is named as in its table. A soup
averages the weights of the baseline and of these choices, seed by seed; nothing chooses its members, so all validation
rows judge it. The script prints a row for each metric: the means over the seeds, and soup minus baseline with the 95%
interval of the paired differences. It reads train and validation only, never test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from choices_compared import Training, trainings
from mlflow import MlflowClient
from seeds_compared import Compared, as_program, paired, print_table

from mobilenet_chest.combine.soup import Averages
from mobilenet_chest.errors import UserError, allowed_names
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import predict_logits
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.training.stress import final_stress_metrics

BASELINE = "baseline"
METRICS = ("heldout_stress_auc_mean", "stress_auc_mean", "val_auc")
"""The first one counts: nothing has chosen by it."""


def members(of_seed: Sequence[Training], choices: Sequence[str]) -> list[Training]:
    """Return the trainings of these choices, in their order.

    Raises:
        UserError: There is no such choice.
    """
    by_choice = {training.choice: training for training in of_seed}
    if unknown := [choice for choice in choices if choice not in by_choice]:
        raise UserError(f"no choice {unknown[0]}{allowed_names(unknown[0], list(by_choice))}")
    return [by_choice[choice] for choice in choices]


def soup_metrics(client: MlflowClient, run_ids: Sequence[str]) -> dict[str, float]:
    """Return the metrics of the uniform average of runs' weights, on all validation rows.

    Raises:
        TrackingError: A run or its checkpoint is not there.
        DataError: Their data file is gone or changed.
    """
    runs = [get_run(client, run_id) for run_id in run_ids]
    configs = [run_config(client, run) for run in runs]
    states = [trained_model(client, run, config).state_dict() for run, config in zip(runs, configs, strict=True)]
    without_weights = configs[0].model.model_copy(update={"weights": "none"})
    prepared = prepare(configs[0].model_copy(update={"model": without_weights}))
    val = prepared.data.val
    model = Averages(prepared, configs[0], val).model(states)
    clean = predict_logits(model, val.images).double().numpy()
    return {"val_auc": auc(val.labels.numpy(), clean)} | final_stress_metrics(model, val, torch.device("cpu"))


def compared(client: MlflowClient, by_seed: Sequence[Sequence[Training]], choices: Sequence[str]) -> list[Compared]:
    """Return each metric of the soups and of the baselines, paired by seed.

    Raises:
        UserError: There is no such choice, or a training lacks a metric.
    """
    soups, baselines = {}, {}
    for seed, of_seed in enumerate(by_seed):
        parts = members(of_seed, [BASELINE, *choices])
        soups[seed] = soup_metrics(client, [part.run_id for part in parts])
        baselines[seed] = parts[0].metrics
    return paired(("soup", BASELINE), (soups, baselines), METRICS)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path)
    parser.add_argument("choices", nargs="+", metavar="CHOICE")
    given = parser.parse_args()
    client = connect(to_read=True)
    print_table("soup", BASELINE, compared(client, trainings(client, given.ablation), given.choices))


if __name__ == "__main__":
    as_program(main)
