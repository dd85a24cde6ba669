"""How often is the best trial ended or left paused, by the epochs of stage 2 that a pruner or scheduler spares?

``python experiments/simulations/early_epochs.py [--studies FILE.json]`` takes finished studies whose trials ran to
their ends, tells their curves in random orders to the median pruner and to asha, and prints the tables of
``experiments/results/early_epochs.md``. It trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep.asha import leaders, next_to_thaw
from mobilenet_chest.sweep.sampler import STARTUP_TRIALS
from mobilenet_chest.sweep.studies_file import read_studies
from mobilenet_chest.sweep.study_summary import StudySummary

STUDIES = Path(__file__).parents[1] / "studies.json"
SPARED = (0, 1, 2)
ORDERS = 100

REDUCTION = 3
"""Of asha, as by default; the second rung is 3 times as far as the first, counted over both stages."""

FROZEN = 2
"""Epochs of stage 1 of the studies."""


class Trial(NamedTuple):
    """A trial that ran to its end: its scores after the epochs of stage 2, and at the end; higher is better."""

    scores: list[float]
    end: float


class Outcome(NamedTuple):
    """A study with a pruner or scheduler.

    Attributes:
        lost: How far the best complete trial is below the best of all.
        trained: Share of the epochs of stage 2 that were trained.
    """

    lost: float
    trained: float


def trials_of(study: StudySummary) -> list[Trial]:
    """Return the trials of a study that have a curve."""
    trials = []
    for trial in study.trials:
        if trial.curve and trial.value is not None:
            scores = [as_score(trial.curve[epoch], study.direction) for epoch in sorted(trial.curve)]
            trials.append(Trial(scores, as_score(trial.value, study.direction)))
    return trials


def median(trials: Sequence[Trial], spared: int) -> Outcome:
    """Tell trials, in their order, to the median pruner, which spares the first epochs of stage 2."""
    pruner = MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=spared + 1)
    told = optuna.create_study(direction="maximize", pruner=pruner)
    ends, trained = [], 0
    for trial in trials:
        asked = told.ask()
        for epoch, score in enumerate(trial.scores, 1):
            trained += 1
            asked.report(score, epoch)
            if epoch < len(trial.scores) and asked.should_prune():
                told.tell(asked, state=TrialState.PRUNED)
                break
        else:
            ends.append(trial.end)
            told.tell(asked, trial.end)
    return _outcome(trials, ends, trained)


def asha(trials: Sequence[Trial], spared: int) -> Outcome:
    """Train trials with asha, one worker, its first rung behind the spared epochs."""
    total, first = len(trials[0].scores), spared + 1
    rungs = [epoch for epoch in (first, REDUCTION * (first + FROZEN) - FROZEN) if epoch < total]
    reached: dict[int, dict[int, float]] = {rung: {} for rung in rungs}
    waits: dict[int, int] = {}
    ends, trained = [], 0
    queue = list(range(len(trials)))
    while (number := next_to_thaw(reached, waits, REDUCTION)) is not None or queue:
        if number is None:
            number = queue.pop(0)
        epoch = waits.pop(number, 0)
        for rung in (rung for rung in rungs if rung > epoch):
            trained, epoch = trained + rung - epoch, rung
            reached[rung][number] = trials[number].scores[rung - 1]
            if number not in leaders(reached[rung], REDUCTION):
                waits[number] = rung
                break
        else:
            trained += total - epoch
            ends.append(trials[number].end)
    return _outcome(trials, ends, trained)


def _outcome(trials: Sequence[Trial], ends: Sequence[float], trained: int) -> Outcome:
    return Outcome(max(trial.end for trial in trials) - max(ends), trained / sum(len(trial.scores) for trial in trials))


def table(studies: Sequence[StudySummary], rule: Callable[[Sequence[Trial], int], Outcome]) -> None:
    """Print what a rule does to studies, by the epochs that it spares."""
    print("| study | epochs | spared | orders that lose the best trial | lost in the mean | epochs trained |")
    print("|---|---|---|---|---|---|")
    for study in studies:
        trials = trials_of(study)
        for spared in SPARED:
            if spared >= len(trials[0].scores) - 1:
                continue
            orders = [np.random.default_rng(seed).permutation(len(trials)) for seed in range(ORDERS)]
            found = np.array([rule([trials[place] for place in order], spared) for order in orders])
            print(
                f"| {study.name} | {study.stage2_epochs} | {spared} | {100 * (found[:, 0] > 0).mean():.0f}% | "
                f"{found[:, 0].mean():.4f} | {100 * found[:, 1].mean():.0f}% |",
                flush=True,
            )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=Path, default=STUDIES, help="a file of `mobilenet-chest studies export`")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies = read_studies(parser.parse_args().studies)
    for name, rule in (("median", median), ("asha", asha)):
        print(f"\n{name}\n")
        table(studies, rule)


if __name__ == "__main__":
    main()
