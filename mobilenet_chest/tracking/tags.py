"""The tags of MLflow runs and model versions: their names and what they mean.

Names and values are part of the contract: scripts, dashboards and stores of earlier versions rely on them.
"""

from __future__ import annotations

KIND = "kind"
"""What a run is: ``study``, ``trial``, ``confirm``, ``fold``, ``train``, ``ensemble``, ``soup``, ``compressed`` or
``benchmark``."""

STUDY_KIND = "study"
"""Value of :data:`KIND` of the run that stands for a study."""

TRIAL_KIND = "trial"
"""Value of :data:`KIND` of a trial's run."""

CONFIRM_KIND = "confirm"
"""Value of :data:`KIND` of a leader's training on a fresh seed."""

FOLD_KIND = "fold"
"""Value of :data:`KIND` of a training on one fold, beneath its trial's run."""

SERVING_KIND = "serving"
"""Value of :data:`KIND` of a server's run, which has its times and counts by the hour."""

BENCHMARK_KIND = "benchmark"
"""Value of :data:`KIND` of a benchmark's run, which has the figures of several models."""

SERVED_MODEL = "served_model"
"""Of a server's run: name of the registered model."""

SERVED_VERSION = "served_version"
"""Of a server's run: version that answered when the run was made."""

TRAIN_KIND = "train"
"""Value of :data:`KIND` of a single training."""

ENSEMBLE_KIND = "ensemble"
"""Value of :data:`KIND` of the mean of several runs."""

SOUP_KIND = "soup"
"""Value of :data:`KIND` of a network whose weights are the mean of several runs'."""

COMPRESSED_KIND = "compressed"
"""Value of :data:`KIND` of a run whose model is another run's, made smaller or faster; it is nested under that run."""

COMPRESSION = "compression"
"""Of a compressed run: the method."""

COMPRESSION_REFUSED = "compression_refused"
"""Of a failed run that was trained to be compressed: why its model was refused."""

ONNX_SHA256 = "onnx_sha256"
"""Of a run whose checkpoint is a whole ONNX file instead of a network's weights: the file's SHA-256 (hex)."""

STUDY = "study"
"""Name of the study that a run belongs to."""

TRIAL = "trial"
"""Number of the trial in its study."""

CONFIRM = "confirm"
"""Number of a confirming training in its study: a leader trained again on another seed."""

CONFIRM_SEED = "confirm_seed"
"""Of a confirming training: its fresh seed."""

FOLD = "fold"
"""Number of the fold that a run's model did not train on."""

SITE = "site"
"""Site that a fold's model did not train on."""

SITES = "sites"
"""Of a trial's run that left out one site in turn: their names in the order of the folds, as JSON."""

FOLDS = "folds"
"""Of a trial's run that stands for as many trainings, one on each fold, and has no model itself."""

TRIAL_NAME = "trial_name"
"""What people call the run's trial: ``trial 0, second attempt``, or ``trial 0, seed 7`` in a confirmation."""

TRIAL_STATE = "trial_state"
"""State of the trial in Optuna when it ended, or INTERRUPTED, or PAUSED; RUNNING when it goes on after a pause."""

CONSTRAINTS = "constraints"
"""Of a trial's run: :data:`MET`, or :data:`VIOLATED` and the constraints that it violates, each with the value."""

MET, VIOLATED = "met", "violated: "
"""Value of :data:`CONSTRAINTS`, and how it begins where one is violated."""

SAMPLER = "sampler"
"""Of a study's run: the sampler, and why ``auto`` has chosen it."""

LEARNED_FROM = "learned_from"
"""Of a study's run: the studies whose configurations it has begun with, as a JSON list."""

EVENTS = "events"
"""Of a study's run: what was asked of it by hand while it ran, a line each, the latest last."""

METRIC = "metric"
"""Of a study's run: the metric that it optimises."""

DIRECTION = "direction"
"""Of a study's run: ``maximize`` or ``minimize``."""

BEST_TRIAL = "best_trial"
"""Of a study's run: number of its best trial."""

BEST_RUN = "best_run"
"""Of a study's run: run id of its best trial."""

FINDINGS = "findings"
"""Of a study's run: what its trials say about the search itself, and the change to try; a line each."""

CONFIRMED_RUN = "confirmed_run"
"""Of a study's run: the run that its confirmation has chosen; empty or absent while there is none."""

PARETO_FRONT = "pareto_front"
"""Of a study's run: numbers of the trials on the Pareto front, separated by commas."""

CONFIRMED_TRIAL = "confirmed_trial"
"""Of a study's run: the trial that its confirmation has chosen."""

MODEL = "model"
"""Name of the network."""

WEIGHTS = "weights"
"""The weights that the training started from."""

DATASET = "dataset"
"""Name of the data set."""

CLASSES = "classes"
"""Names of the two classes, the one labelled 0 first."""

CONFIG_DIGEST = "config_digest"
"""Digest of all fields of the experiment that a training depends on."""

SETTINGS = "settings"
"""Fields of the experiment that are read from the run again, as JSON of dotted path -> value."""

DATA_DIGEST = "data_digest"
"""Digest of the training and validation rows."""

VAL_DIGEST = "val_digest"
"""Digest of the validation rows, which validation metrics are of; absent on runs of early versions."""

GIT_COMMIT = "git_commit"
"""Commit of the code that made the run."""

GIT_DIRTY = "git_dirty"
"""Whether the code had changes that were not committed: ``true`` or ``false``."""

PACKAGE_VERSION = "package_version"
"""Version of this package."""

SOFTWARE = "software"
"""Versions of Python and of the libraries that a training depends on, as text; absent on runs of early versions."""

HARDWARE = "hardware"
"""Processor, cores and GPU that a run was made on, as text; absent on runs of early versions."""

OWNER = "owner"
"""The process that writes the run, as JSON: host, machine, pid, start time."""

HEARTBEAT = "sign_of_life"
"""When the run's process last wrote, in seconds of its own clock; what counts is that it changes."""

RESULT = "result"
"""Set when all that a run leaves is there: ``finished``, or ``stopped`` when the caller ended it early."""

FAILURE = "failure"
"""Why a run failed: the error's type and text, without passwords."""

CHECKPOINTS_REMOVED = "checkpoints_removed"
"""Why a run's checkpoints were removed."""

SCORED_ON = "scored_on"
"""Of a run whose ``val_*`` metrics are not of the whole validation split by one model: what they are of."""

OUT_OF_FOLD = "train and val, each row by the member that did not train on it"
"""Value of :data:`SCORED_ON` of what was trained on folds."""

OUT_OF_SITE = "train and val, each site by the member that did not train on it"
"""Value of :data:`SCORED_ON` of what was trained leaving one site out in turn."""

TEACHER = "teacher"
"""Run id of the model that taught this one."""

MEMBERS = "members"
"""Run ids of the runs that an ensemble or soup is made of, separated by commas."""

MEMBERS_ARE = "members_are"
"""What the members of an ensemble are: ``seeds``, ``folds`` or ``runs``."""

TEST_EVALUATIONS = "test_evaluations"
"""How often the test split was opened for the run."""

INTERVAL = "interval"
"""95% interval of the metric that a run is judged by, as text: ``0.912–0.973``."""

NOTE = "mlflow.note.content"
"""MLflow's own tag: the run's description, in Markdown."""

PARENT_RUN = "mlflow.parentRunId"
"""MLflow's own tag: the run that this one is nested under."""

PROMOTION = "promotion"
"""Of a model version: ``in progress`` while it is being filled, then ``done``, and never back."""

PROMOTER = "promoter"
"""Of a model version that is being filled: the process that fills it and its heartbeat, as JSON."""

TEST_DIGEST = "test_digest"
"""Digest of the test rows that the run's ``test_*`` metrics are of; set once metrics and predictions are stored."""

SOUP = "soup"
"""How the members of a soup were chosen: ``greedy`` or ``uniform``."""

TEST_OPENINGS = "test_openings"
"""Of a model version: every access to the test split, a line each, separated by semicolons."""

FILE_DIGESTS = "sha256"
"""Of a model version: JSON of relative path -> SHA-256 (hex) of every file of the model's folder."""

RUN_ID = "run_id"
"""Of a model version: the run that it was made from."""

VERIFIED_DIFFERENCE = "verified_difference"
"""Of a model version: largest difference in probability between the registered model and its run."""

GATE_PREFIX = "gate_"
"""Of a model version, before the name of a gate: its result, value and limit."""

PREVIOUS_PREFIX = "previous_"
"""Of a model version, before an alias: the version that the alias pointed to before; empty where there was none."""

EXPORT_PREFIX = "export_"
"""Of a run or model version, before a format and the name of a figure: digest and proof of an exported file."""

COHORT_PREFIX = "cohort."
"""Of a run, before the name of a cohort that it was scored on: JSON of the cohort's digest, rows and prevalence; set
once metrics and predictions are stored."""
