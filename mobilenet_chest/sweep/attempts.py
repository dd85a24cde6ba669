"""What a trial is called: one that was queued again keeps the number under which a person has seen it first.

Optuna gives the second attempt of an interrupted trial a number of its own. Storage and JSON have that number, and the
tags of runs. What is shown to a person says "trial 0, second attempt".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.sweep import attributes

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class Attempt(NamedTuple):
    """A try to run a trial.

    Attributes:
        trial: Number of the first attempt.
        number: 1 for the first attempt, 2 for the second, and so on.
    """

    trial: int
    number: int

    def __str__(self) -> str:
        """Return ``0``, or ``0, second attempt``."""
        if self.number == 1:
            return str(self.trial)
        ordinal = ORDINALS[self.number - 1] if self.number <= len(ORDINALS) else f"{self.number}th"
        return f"{self.trial}, {ordinal} attempt"


def attempt_of(trial: Trial | FrozenTrial, trials: Sequence[FrozenTrial]) -> Attempt:
    """Return which attempt at which trial a trial is.

    Args:
        trial: The trial.
        trials: All trials of its study, by number.
    """
    number, origin = 1, trial.number
    earlier = trial.user_attrs.get(attributes.RETRY_OF)
    while earlier is not None and 0 <= earlier < origin:  # a study that another program has written may have a circle
        number, origin = number + 1, earlier
        earlier = trials[origin].user_attrs.get(attributes.RETRY_OF) if origin < len(trials) else None
    return Attempt(origin, number)


def shown_numbers(study: optuna.Study) -> dict[int, str]:
    """Return what a person reads of each trial, by its number in Optuna: ``0``, or ``0, second attempt``."""
    trials = study.get_trials(deepcopy=False)
    return {trial.number: str(attempt_of(trial, trials)) for trial in trials}


def repeated_trial(trial: Trial | FrozenTrial) -> int:
    """Return which trial a training of a confirmation repeats: the number of its first attempt."""
    number = trial.user_attrs[attributes.CONFIRMS]["trial"]
    return int(trial.user_attrs.get(attributes.FIRST_ATTEMPT, number))  # those of early versions lack it


def trial_name(study: optuna.Study, trial: Trial | FrozenTrial) -> str:
    """Return what a person reads of a trial: ``trial 0, second attempt``; of a confirmation the trial and the seed."""
    if (confirms := trial.user_attrs.get(attributes.CONFIRMS)) is not None:
        return f"trial {repeated_trial(trial)}, seed {confirms['seed']}"
    if attributes.RETRY_OF not in trial.user_attrs:
        return f"trial {trial.number}"
    return f"trial {attempt_of(trial, study.get_trials(deepcopy=False))}"
