"""Choose thresholds by stressed and by clean validation: ``python …/thresholds_compared.py ABLATION.json``.

``ABLATION.json`` is what ``mobilenet-chest ablate … --json`` printed. For each of its trainings a threshold is chosen
on the stressed copies of validation, and one on the clean images. Both are judged by the accuracy, with TTA, on
families of corruptions that chose neither. The script prints a row for each choice: the means over the seeds, and
stressed minus clean with the 95% interval of the paired differences. It reads train and validation only, never test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from choices_compared import Training, trainings
from mlflow import MlflowClient
from seeds_compared import Compared, as_program, compared_pairs, print_table

from mobilenet_chest.data.corruptions import CHOOSING, HELD_OUT
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import predict

CHOSEN_ON = ("stressed validation", "clean validation")


def accuracies(client: MlflowClient, run_id: str) -> tuple[float, float]:
    """Return a training's mean accuracy on the held-out families, at the threshold that stressed validation chooses
    and at that of clean validation.

    Raises:
        TrackingError: The run or its checkpoint is not there.
        DataError: Its data file is gone or changed.
    """
    run = get_run(client, run_id)
    config = run_config(client, run)
    model, val, cpu = trained_model(client, run, config), load_train_val(config.data).val, torch.device("cpu")
    held_out = predict(model, stressed(val, HELD_OUT), cpu)
    found = []
    for rows in (stressed(val, CHOOSING), val):
        predictions = predict(model, rows, cpu)
        threshold = choose_threshold(predictions.label, predictions.probability_tta, config.evaluation)
        found.append(accuracy_at(held_out.label, held_out.probability_tta, threshold))
    return found[0], found[1]


def compared(client: MlflowClient, by_seed: Sequence[Sequence[Training]]) -> list[Compared]:
    """Return a row for each choice, named after it, paired by seed."""
    return [
        compared_pairs(of_choice[0].choice, [accuracies(client, training.run_id) for training in of_choice])
        for of_choice in zip(*by_seed, strict=True)
    ]


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path)
    client = connect(to_read=True)
    print_table(*CHOSEN_ON, compared(client, trainings(client, parser.parse_args().ablation)))


if __name__ == "__main__":
    as_program(main)
