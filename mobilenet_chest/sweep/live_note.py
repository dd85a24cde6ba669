"""Keeping a study's description up to date while its sweep runs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import optuna
from sqlalchemy.exc import SQLAlchemyError

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.claims import counted_trials
from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.control import event_lines, events_text, in_force
from mobilenet_chest.sweep.dashboard import save_note
from mobilenet_chest.sweep.findings import Finding
from mobilenet_chest.sweep.study_note import study_note
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.sweep.trial_state import state_name
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.tags import NOTE
from mobilenet_chest.tracking.tracker import MlflowTracker

logger = logging.getLogger(__name__)


class LiveNote:
    """The description of a study in MLflow and in Optuna's database, written again when a trial has ended.

    Args:
        config: The experiment.
        parent: The study's run in MLflow.
    """

    def __init__(self, config: Config, parent: MlflowTracker) -> None:
        self._config, self._parent = config, parent
        self._ended: Counter[str] | None = None
        self._events: list[str] = []

    def update(self, study: optuna.Study) -> None:
        """Describe the study if a trial has ended since the last time, and log what was asked of it by hand.

        The study of a confirmation is left alone.
        """
        if study.study_name != self._config.study_name:
            return
        if (events := event_lines(study)) != self._events:
            self._events, self._ended = events, None  # the total may have changed
            self._parent.log_tags({tags.EVENTS: events_text(events)})
        ended = Counter(map(state_name, counted_trials(study)))  # a paused trial may be complete later
        if ended != self._ended:
            self._ended = ended
            write_note(in_force(self._config, study), study, self._parent)


def write_note(
    config: Config,
    study: optuna.Study,
    parent: MlflowTracker,
    ties: Ties | None = None,
    confirmation: Confirmation | None = None,
    ended: bool = False,
    findings: Sequence[Finding] = (),
) -> None:
    """Write the text of :func:`~mobilenet_chest.sweep.study_note.study_note` to MLflow and to Optuna's database."""
    parent.log_tags({NOTE: study_note(config, study, ties, confirmation, ended, parent.experiment_id, findings)})
    try:
        save_note(study, study_note(config, study, ties, confirmation, ended, findings=findings))
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        logger.warning("study %s has no note for optuna-dashboard: %s", study.study_name, type(error).__name__)
