"""The state of a trial, with one that Optuna does not know: paused.

Optuna's state of a paused trial is RUNNING, without a worker and with the attribute ``paused``. So it keeps its number,
its values and its reports. WAITING would not do: ``study.ask()`` of any program takes the first waiting trial, whether
its turn has come or not.
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep import attributes

PAUSED = "PAUSED"
"""State of a trial that waits at a rung, beside those of Optuna."""


def is_paused(trial: FrozenTrial) -> bool:
    """Return whether a trial waits at a rung, with its checkpoint and without a worker."""
    return trial.state == TrialState.RUNNING and trial.user_attrs.get(attributes.PAUSED) is not None


def state_name(trial: FrozenTrial) -> str:
    """Return the name of a trial's state in Optuna, or :data:`PAUSED`."""
    return PAUSED if is_paused(trial) else str(trial.state.name)


def running_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that a worker runs, or did before it died, by number."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if not is_paused(trial)]
