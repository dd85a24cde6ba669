"""The user attributes of Optuna's studies and trials: their names and what they mean.

Names and values are part of the contract: studies of earlier versions rely on them.
"""

from __future__ import annotations

DEFINITION = "definition"
"""Of a study: the experiment that it searches, as JSON; another experiment may not continue it."""

DATA_NAME = "data_name"
"""Of a study: what its experiment calls its data."""

RUN_ID = "run_id"
"""Of a study and of a trial: its run in MLflow."""

MLFLOW = "mlflow"
"""Of a trial: address of its run's page, or the command that opens it, for those who read Optuna's database."""

MAX_RETRIES = "max_retries"
"""Of a study: ``study.max_retries`` of the command that resumed it last."""

REPORTED_TRIALS = "reported_trials"
"""Of a study: how many trials its run in MLflow shows in its leaderboard and plots."""

GONE = "gone"
"""Of a study: numbers of the trials whose run was deleted in MLflow; none of them is the best trial."""

CONFIRMED = "confirmed"
"""Of a study: the confirmation that its run in MLflow shows."""

CONFIRMS = "confirms"
"""Of a confirmation: the study that it confirms. Of its trials: ``study``, ``trial`` trained again, and ``seed``."""

FIRST_ATTEMPT = "first_attempt"
"""Of a confirmation's trial: number of the first attempt of the trial that it trains again; people know it by that."""

WORKER = "worker"
"""Of a trial: the process that runs it, the number of its heartbeat, and the seconds of its lease."""

RETRY_OF = "retry_of"
"""Of a trial: number of the trial whose values it tries again."""

DEATHS = "deaths"
"""Of a trial: how many workers have died with these values."""

INTERRUPTED = "interrupted"
"""Of a failed trial: it was ended from outside, and does not count towards the total of the study."""

REASON = "reason"
"""Of a failed trial: why it failed."""

PAUSED = "paused"
"""Of a trial: the epoch of the rung at which it waits, or ``None`` once it goes on."""

PASSED_RUNG = "passed_rung"
"""Of a trial: the epoch of the last rung that has let it go on."""

STAGE1 = "stage1"
"""Of a trial: epochs of stage 1 trained and reused, and the seconds saved."""

FOLD_RUNS = "fold_runs"
"""Of a trial that is trained on folds: the runs of its folds."""

SAMPLER = "sampler"
"""Of a study: the sampler that ``auto`` has chosen, and the reason."""

VIOLATES = "violates"
"""Of a trial: the constraints that it violates, each with the trial's value."""

REPEATS = "repeats"
"""Of a trial whose values were tried before: that trial, and whether its result was taken or another seed trained."""

FIRST_TRIALS = "first_trials"
"""Of a study: the values that it begins with, each with the study and the trial that it is from."""

EARLIER_TRIALS = "earlier_trials"
"""Of a study: trials of the studies that it learns from, with their ranks there; its sampler sees them at first."""

CURVES = "curves"
"""Of a study: how its learning curves are expected to run, after those of the studies that it learns from."""

FIRST = "first"
"""Of a trial: which of the study's first trials it is."""

IMPORTED = "imported"
"""Of a study without trials: the summary of a study of another store."""

ADDED = "added"
"""Of a trial: whoever queued its values by hand."""

STOP = "stop"
"""Of a trial: it is to end after its current epoch, or is not to begin."""

STUDY_PAUSED = "study_paused"
"""Of a study: whether its workers are to wait."""

STOPS = "stops"
"""Of a study: how often it was stopped; a command stops at the first one after its start."""

ASKED_TRIALS = "asked_trials"
"""Of a study: ``study.trials`` of the command that continued it last."""

SET_TRIALS = "set_trials"
"""Of a study: its total ``trials`` as set by hand, ``instead_of`` that of the commands."""

EVENTS = "events"
"""Of a study: what was asked of it by hand, and by whom, the latest last."""

NOTIFIED = "notified"
"""Of a study: the events that ``study.notify`` was told."""

EPOCHS = "epochs"
"""Of a trial: the epochs of its current or last training, as :class:`~mobilenet_chest.sweep.epochs.Epochs`."""

TRAININGS = "trainings"
"""Of a trial: for each of its trainings, the best epoch, and epochs and best value of each stage."""
