"""Choose by stressed and by clean validation of few images: ``python …/small_validation.py ABLATION.json``.

``ABLATION.json`` is what ``mobilenet-chest ablate … --json`` printed. A stratified draw of the validation rows chooses
one training of each seed, once by the mean AUC of its stressed copies and once by the AUC of the clean images. The rows
that were not drawn judge both choices, by the mean AUC on families of corruptions that chose neither. For each number
of rows that choose, the script prints the means over draws and seeds, and stressed minus clean with the 95% interval of
the paired differences of the seeds. It reads train and validation only, never test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from choices_compared import Training, trainings
from mlflow import MlflowClient
from numpy.typing import NDArray
from seeds_compared import Compared, as_program, compared_pairs, print_table

from mobilenet_chest.data.corruptions import CHOOSING, HELD_OUT
from mobilenet_chest.data.dataset import Split, load_train_val
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import predict_logits

CHOSEN_BY = ("stressed validation", "clean validation")
SHARES = (1 / 4, 1 / 8, 1 / 2)
"""Of the validation rows that choose; the first one counts."""

DRAWS = 400


class Logits(NamedTuple):
    """Logits without TTA of all trainings: seeds first, then choices, then rows.

    Attributes:
        labels: uint8 (rows,).
        clean: float64 (seeds, choices, rows).
        choosing: float64 (seeds, choices, families, rows), of the families that may choose.
        held_out: The same of those held out.
    """

    labels: NDArray[np.uint8]
    clean: NDArray[np.float64]
    choosing: NDArray[np.float64]
    held_out: NDArray[np.float64]


@lru_cache(maxsize=1)
def _copies(val: Split) -> tuple[Split, Split]:
    return stressed(val, CHOOSING), stressed(val, HELD_OUT)


def logits_of(client: MlflowClient, by_seed: Sequence[Sequence[Training]]) -> Logits:
    """Compute the logits of all trainings.

    Raises:
        TrackingError: A run or its checkpoint is not there.
        DataError: Its data file is gone or changed.
    """
    found: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    labels = np.array([], dtype=np.uint8)
    for choice in range(len(by_seed[0])):  # all seeds of a choice have the same images
        for seed, of_seed in enumerate(by_seed):
            run = get_run(client, of_seed[choice].run_id)
            config = run_config(client, run)
            model, val = trained_model(client, run, config), load_train_val(config.data).val
            labels = val.labels.numpy()
            found[seed, choice] = [
                predict_logits(model, rows.images).double().numpy().reshape(-1, len(val))
                for rows in (val, *_copies(val))
            ]
    clean, choosing, held_out = (
        np.array([[found[seed, choice][part] for choice in range(len(by_seed[0]))] for seed in range(len(by_seed))])
        for part in range(3)
    )
    return Logits(labels, clean[:, :, 0], choosing, held_out)


def mean_auc(labels: NDArray[np.uint8], families: NDArray[np.float64]) -> float:
    """Return the mean AUC over families, logits (families, rows)."""
    return float(np.mean([auc(labels, logits) for logits in families]))


def drawn(labels: NDArray[np.uint8], share: float, draw: int) -> NDArray[np.bool_]:
    """Return which rows choose: a share of each class, at least two of it."""
    rng, chosen = np.random.default_rng(draw), np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        chosen[rng.choice(rows, max(2, round(share * len(rows))), replace=False)] = True
    return chosen


def best(scores: Sequence[float]) -> list[int]:
    """Return the positions of the highest score."""
    return [int(which) for which in np.flatnonzero(np.array(scores) == max(scores))]


def held_out_aucs(logits: Logits, share: float, draws: int = DRAWS) -> list[tuple[float, float]]:
    """Return for each seed the AUC on held-out families, the mean over draws, of what stress and clean choose.

    Of trainings with equal scores, the mean counts: few clean images often give several an AUC of 1.
    """
    means = []
    for clean, choosing, held_out in zip(logits.clean, logits.choosing, logits.held_out, strict=True):
        results = []
        for draw in range(draws):
            rows = drawn(logits.labels, share, draw)
            few, rest = logits.labels[rows], logits.labels[~rows]
            by_stress = best([mean_auc(few, each[:, rows]) for each in choosing])
            by_clean = best([auc(few, each[rows]) for each in clean])
            judged = {which: mean_auc(rest, held_out[which][:, ~rows]) for which in {*by_stress, *by_clean}}
            results.append([np.mean([judged[which] for which in each]) for each in (by_stress, by_clean)])
        of_stress, of_clean = np.mean(results, axis=0)
        means.append((float(of_stress), float(of_clean)))
    return means


def compared(logits: Logits, shares: Sequence[float] = SHARES, draws: int = DRAWS) -> list[Compared]:
    """Return a row for each share, named after its number of rows, paired by seed."""
    return [
        compared_pairs(f"{int(drawn(logits.labels, share, 0).sum())} rows choose", held_out_aucs(logits, share, draws))
        for share in shares
    ]


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path)
    client = connect(to_read=True)
    by_seed = trainings(client, parser.parse_args().ablation)
    print_table(*CHOSEN_BY, compared(logits_of(client, by_seed)))


if __name__ == "__main__":
    as_program(main)
