"""The gate of a running trial at its rungs: it reports its value there, and is paused or goes on."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import Trial

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrainingPaused
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import has_unbegun
from mobilenet_chest.sweep.optuna_adapter import stored_trial
from mobilenet_chest.sweep.scheduler import goes_on, rung_epochs
from mobilenet_chest.training.epoch import Record


class RungGate:
    """Reports the value of a trial at each rung, and pauses the trial where the scheduler does not let it go on.

    A rung that has let the trial go on lets it go on again: the trial may have been interrupted between that rung and
    its next checkpoint.

    Args:
        config: The study's experiment, whose epochs give the rungs of all trials.
        trial_config: The trial's; a trial that ends before a rung, or at it, is not paused there.
        study: The study.
        trial: The trial that this process runs.
    """

    def __init__(self, config: Config, trial_config: Config, study: optuna.Study, trial: Trial) -> None:
        self._config, self._study, self._trial = config, study, trial
        total = trial_config.stage1.epochs + trial_config.stage2.epochs
        self._rungs = [epoch for epoch in rung_epochs(config) if epoch < total]
        self._reported = set(stored_trial(study, trial).intermediate_values)
        self._passed = int(trial.user_attrs.get(attributes.PASSED_RUNG, 0))
        self._history: list[Record] = []

    def start(self, history: Sequence[Record]) -> None:
        """Take the epochs that are known already, of a resumed training or of a stage 1 that was reused.

        Raises:
            TrainingPaused: The trial waits at a rung among them.
        """
        self._history = list(history)
        self._decide()

    def add(self, record: Record) -> None:
        """Take the next epoch.

        Raises:
            TrainingPaused: The trial waits at a rung, which this epoch has reached.
        """
        self._history.append(record)
        self._decide()

    def _decide(self) -> None:
        for epoch in self._rungs:
            if epoch > len(self._history):
                return
            if epoch not in self._reported:
                self._trial.report(self._history[epoch - 1][self._config.study.metric], epoch)
                self._reported.add(epoch)
            if epoch <= self._passed:
                continue
            trials = self._study.get_trials(deepcopy=False)
            new = has_unbegun(self._study, trials, self._config)
            if not goes_on(self._study, trials, self._config, self._trial.number, epoch, new):
                raise TrainingPaused(f"trial {self._trial.number} waits at the rung after epoch {epoch}")
            self._trial.set_user_attr(attributes.PASSED_RUNG, epoch)
            self._passed = epoch
