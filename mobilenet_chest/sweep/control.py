"""What a person asks of a study while it runs, carried by the study's own attributes to every worker on any machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import optuna
from optuna.trial import Trial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.optuna_adapter import sibling_study, stored_state

LOOK_SECONDS = 1.0
"""Shortest time between two looks of a worker at what is asked: frozen epochs take milliseconds."""


SHOWN_LENGTH = 5000
"""Most characters of the events that MLflow shows: the last ones. It cuts a tag after 8,000."""


class TrialHeld(KeyboardInterrupt):
    """A worker ends its trial because the study was paused or stopped, and queues its values again."""


class Control:
    """What is asked of a study, as one of its workers sees it.

    Args:
        study: The study that the worker runs trials of; with a confirmation, the one that it confirms is asked.
        stops: How often the study had been stopped when the worker's command began; by default what it is now.
    """

    def __init__(self, study: optuna.Study, stops: int | None = None) -> None:
        self._study = commanded_study(study)
        self._stops = stops_of(self._study) if stops is None else stops
        self._looked = -LOOK_SECONDS

    @property
    def stops(self) -> int:
        """How often the study had been stopped when the command began."""
        return self._stops

    @property
    def paused(self) -> bool:
        """Whether workers are to wait."""
        return bool(self._study.user_attrs.get(attributes.STUDY_PAUSED))

    @property
    def stopped(self) -> bool:
        """Whether the study was stopped since this command began."""
        return stops_of(self._study) > self._stops

    def ends(self, study: optuna.Study, trial: Trial) -> bool:
        """Return whether a trial is to end after this epoch; looked up once in :data:`LOOK_SECONDS` at most.

        Raises:
            TrialHeld: The study was paused or stopped.
        """
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        if self.paused or self.stopped:
            raise TrialHeld
        return self.stops_trial(study, trial)

    def stops_trial(self, study: optuna.Study, trial: Trial) -> bool:
        """Whether this one trial is to end."""
        _, known = stored_state(study, trial, attributes.STOP)
        return attributes.STOP in known


def commanded_study(study: optuna.Study) -> optuna.Study:
    """Return the study that people give commands to: the study itself, or the one that it confirms."""
    confirms = study.user_attrs.get(attributes.CONFIRMS)
    return study if confirms is None else sibling_study(study, confirms)


def stops_of(study: optuna.Study) -> int:
    """Return how often a study was stopped by hand."""
    return int(study.user_attrs.get(attributes.STOPS, 0))


def in_force(config: Config, study: optuna.Study) -> Config:
    """Return the experiment with the total that was set by hand.

    It stands in for the total that the commands had then: a command with another one has the last word.
    """
    order = study.user_attrs.get(attributes.SET_TRIALS)
    if order is None or order["instead_of"] != config.study.trials:
        return config
    return config.model_copy(update={"study": config.study.model_copy(update={"trials": order["trials"]})})


def events_text(lines: Sequence[str]) -> str:
    """Return the last events as one text of at most :data:`SHOWN_LENGTH` characters; the latest is whole, or cut."""
    text = "\n".join(lines)
    if len(text) <= SHOWN_LENGTH:
        return text
    return text[-SHOWN_LENGTH:].partition("\n")[2] or lines[-1][:SHOWN_LENGTH]


def event_lines(study: optuna.Study) -> list[str]:
    """Return what was asked of a study by hand, a line each, the latest last."""
    return [f"{each['time']} {each['event']} (by {each['by']})" for each in study.user_attrs.get(attributes.EVENTS, [])]
