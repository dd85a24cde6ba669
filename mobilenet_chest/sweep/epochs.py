"""What a trial's epochs have brought: written by its worker into the study, read by live views and findings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import EPOCH_METRICS, Config
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.sweep import attributes
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.epochs import Epochs, reached, summarize_epochs

WRITE_SECONDS = 1.0
"""Shortest time between two writes of a trial's epochs: a live view looks once a second."""

SPARED_EPOCHS = 1
"""First epochs of stage 2 after which no trial is pruned by the median, or paused at a default rung of asha. On eight
finished studies the median lost the best of twenty trials in 46% of random orders where it spared none, and in 8% where
it spared one; asha in 57% and 24%. experiments/results/early_epochs.md has the tables."""


def shown_metric(config: Config) -> str:
    """Return the metric whose epochs are followed: the study's, or else the one that chooses the best epoch."""
    return config.study.metric if config.study.metric in EPOCH_METRICS else config.evaluation.metric


def stored_epochs(trial: FrozenTrial) -> Epochs | None:
    """Return the epochs that a trial's worker has written, if any."""
    stored = trial.user_attrs.get(attributes.EPOCHS)
    if stored is None:
        return None
    seconds = {int(stage): value for stage, value in stored["stage_seconds"].items()}
    return Epochs(**{**stored, "values": tuple(stored["values"]), "stage_epochs": tuple(stored["stage_epochs"]),
                     "stage_seconds": seconds})  # fmt: skip


class EpochReporter:
    """Writes a trial's epochs into its attributes, once in :data:`WRITE_SECONDS` at most.

    Args:
        config: The trial's.
        trial: The trial that this process runs.
        history: Records of the epochs that were done before a resume.
        folds: Trainings of the trial, one on each fold.
    """

    def __init__(self, config: Config, trial: Trial, history: Sequence[Record] = (), folds: int = 1) -> None:
        self._config, self._trial, self._folds = config, trial, folds
        self._history, self._done = list(history), len(history)
        self.write()

    def add(self, epoch: int, record: Record) -> None:
        """Note an epoch, and write it unless the last write was less than :data:`WRITE_SECONDS` ago."""
        self._history.append(record)
        self._done = epoch
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self.write()

    def reuse(self, epochs: int) -> None:
        """Note that the training begins after so many epochs, of a stage 1 that was reused."""
        self._done = epochs

    def write(self) -> None:
        """Write what is known now; a full disk does not end a training because of its live view."""
        epochs = summarize_epochs(self._config, self._done, self._history, shown_metric(self._config), self._folds)
        with suppress(WriteFailed):
            self._trial.set_user_attr(attributes.EPOCHS, asdict(epochs))
        self._written = time.monotonic()

    def finish(self, history: Sequence[Record]) -> None:
        """Write the whole training, and what its stages have reached.

        Args:
            history: One record for each epoch, those of a stage 1 that was reused among them.
        """
        self._history, self._done = list(history), len(history)
        self.write()
        training = reached(self._config, history, shown_metric(self._config))
        earlier = self._trial.user_attrs.get(attributes.TRAININGS, [])
        self._trial.set_user_attr(attributes.TRAININGS, [*earlier, training])
