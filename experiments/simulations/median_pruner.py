"""How often does the median pruner end the best trial, by the epochs of stage 2 that it spares?

``python experiments/simulations/median_pruner.py [--studies FILE.json]`` takes finished studies whose trials ran to
their ends, tells their curves to Optuna's pruner in random orders, and prints the table of
``experiments/results/median_pruner.md``. It trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep.sampler import STARTUP_TRIALS
from mobilenet_chest.sweep.studies_file import read_studies
from mobilenet_chest.sweep.study_summary import StudySummary

STUDIES = Path(__file__).parents[1] / "studies.json"
SPARED = (0, 1, 2)
ORDERS = 100


class Outcome(NamedTuple):
    """A study with a pruner.

    Attributes:
        lost: How far the best complete trial is below the best of all.
        trained: Share of the epochs of stage 2 that were trained.
    """

    lost: float
    trained: float


def pruned(study: StudySummary, order: Sequence[int], spared: int) -> Outcome:
    """Tell the trials of a study to the median pruner in an order, which spares the first epochs of stage 2."""
    pruner = MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=spared + 1)
    told = optuna.create_study(direction=study.direction, pruner=pruner)
    values, trained, total = [], 0, 0
    for place in order:
        curve, trial = sorted(study.trials[place].curve.items()), told.ask()
        total += len(curve)
        for epoch, value in curve:
            trained += 1
            trial.report(value, epoch)
            if epoch < curve[-1][0] and trial.should_prune():
                told.tell(trial, state=TrialState.PRUNED)
                break
        else:
            value = study.trials[place].value
            assert value is not None
            values.append(as_score(value, study.direction))
            told.tell(trial, value)
    every = [as_score(trial.value, study.direction) for trial in study.trials if trial.value is not None]
    return Outcome(max(every) - max(values), trained / total)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=Path, default=STUDIES, help="a file of `mobilenet-chest studies export`")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("| study | epochs | spared | orders that lose the best trial | lost in the mean | epochs trained |")
    print("|---|---|---|---|---|---|")
    for study in read_studies(parser.parse_args().studies):
        for spared in SPARED:
            if study.stage2_epochs is None or spared >= study.stage2_epochs - 1:
                continue
            orders = [np.random.default_rng(seed).permutation(len(study.trials)).tolist() for seed in range(ORDERS)]
            found = np.array([pruned(study, order, spared) for order in orders])
            print(
                f"| {study.name} | {study.stage2_epochs} | {spared} | {100 * (found[:, 0] > 0).mean():.0f}% | "
                f"{found[:, 0].mean():.4f} | {100 * found[:, 1].mean():.0f}% |",
                flush=True,
            )


if __name__ == "__main__":
    main()
