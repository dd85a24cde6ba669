"""Every error this package raises on purpose, in one tree.

::

    MobilenetChestError               exit code 1: the work failed
    ├── TrainingDiverged              loss or logits stopped being finite
    ├── PluginFailed                  a function of a plugin raised, or returned what cannot be used
    ├── SweepFailed                   no trial of a sweep could be finished
    ├── WriteFailed                   a disk is full, or a folder became read-only
    ├── TrackingLost                  MLflow became unreachable, or refused a write, during the work
    ├── NotDelivered                  writes to an unreachable tracking store are pending on the disk
    ├── OwnershipLost                 another process owns the run now
    ├── TrainingPaused                a study has paused the training; it is resumed later, or never
    ├── ExportFailed                  a network cannot be written in a format
    ├── UserError                     exit code 2: the input is wrong; nothing was started
    │   ├── ConfigError               experiment file or key=value override
    │   ├── CacheError                the cache of features, stage-1 results and data cannot be used
    │   ├── DataError                 data file, dataset name, classes, rows
    │   ├── WeightsError              pretrained weights that cannot be loaded or downloaded
    │   ├── MissingExtraError         an optional package that is not installed
    │   ├── TrackingError             MLflow cannot be reached or written, or has no such run
    │   ├── StudyError                Optuna's storage, or a study of another experiment
    │   ├── ClusterError              a Ray cluster that cannot be reached, or cannot run the sweep
    │   └── SealedError               exit code 3: the study's test split was opened before
    ├── CompressionRefused            exit code 3: a compressed model predicts too differently from its original
    ├── ExportRefused                 exit code 3: an exported file does not predict as its run did
    └── PromotionRefused              exit code 3: a gate failed

The command line prints ``str(error)`` and exits with ``error.exit_code``. A message names the bad value, the allowed
values and the next step in one line; a :class:`ConfigError` has a line for each problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class MobilenetChestError(Exception):
    """Root of the tree: the work failed."""

    exit_code = 1


class TrainingDiverged(MobilenetChestError):
    """The loss, or a prediction, is NaN or infinite."""


class PluginFailed(MobilenetChestError):
    """A function of a plugin raised, or returned what cannot be used, during the work."""


class SweepFailed(MobilenetChestError):
    """A sweep ended without a single finished trial, or its workers died."""


class WriteFailed(MobilenetChestError):
    """A training cannot write its files any more; the files that it wrote before are complete."""


class TrackingLost(MobilenetChestError):
    """The tracking store became unreachable during the work, or refused a write."""


class NotDelivered(MobilenetChestError):
    """The work is done, but writes to an unreachable tracking store are pending on the disk."""


class OwnershipLost(MobilenetChestError):
    """Another process owns the run now: this process may not write to it any more."""


class TrainingPaused(MobilenetChestError):
    """A study has paused the training after an epoch: it is resumed later, or never."""


class ExportFailed(MobilenetChestError):
    """A network cannot be written in the format that was asked for."""


class UserError(MobilenetChestError):
    """The request cannot be done as asked; nothing was started."""

    exit_code = 2


class ConfigError(UserError):
    """One or more problems of an experiment file or its overrides.

    Args:
        problems: One line for each problem; all of them, so that a file is corrected in one go.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CacheError(UserError):
    """The cache's folder cannot be written, or its size limit is not a number."""


class DataError(UserError):
    """A data file, or a choice of rows, cannot be used."""


class WeightsError(UserError):
    """Pretrained weights are not on this machine and cannot be downloaded, or do not fit the model."""


class MissingExtraError(UserError):
    """An optional dependency is missing.

    Args:
        what: What was asked for.
        extra: The extra of this package that installs it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed; type: pip install -e '.[{extra}]'")


class TrackingError(UserError):
    """The tracking store cannot be reached or written, or holds no such run, study or experiment."""


class StudyError(UserError):
    """The study's storage cannot be used, or the stored study is of another experiment."""


class SealedError(UserError):
    """The study's test split was opened before, and opening it again was not asked for."""

    exit_code = 3


class ClusterError(UserError):
    """A Ray cluster cannot be reached, has no room for a worker, or cannot share the files of the sweep."""


class ExportRefused(MobilenetChestError):
    """An exported file does not predict as its run did; it was not kept."""

    exit_code = 3


class CompressionRefused(MobilenetChestError):
    """A compressed model predicts too differently from its original; nothing was logged."""

    exit_code = 3


class PromotionRefused(MobilenetChestError):
    """A gate refused the promotion; aliases and versions are unchanged.

    Args:
        reasons: Every gate that failed, a sentence each.
        gates: Results of all gates of the experiment, as :class:`mobilenet_chest.registry.gates.GateResult`.
    """

    exit_code = 3

    def __init__(self, reasons: Sequence[str], gates: Sequence[Any] = ()) -> None:
        self.reasons, self.gates = tuple(reasons), tuple(gates)
        super().__init__("not promoted: " + "; ".join(self.reasons))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string when none is close."""
    by_folded = {str(option).casefold(): str(option) for option in allowed}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean '{by_folded[close[0]]}'?" if close else ""


def allowed_names(name: str, allowed: Iterable[str]) -> str:
    """Return how a message on a wrong name ends: the closest allowed name, if there is one, and all allowed names."""
    options = list(allowed)
    hint = nearest(name, options)
    return f"{hint} Allowed: {', '.join(options)}" if hint else f"; allowed: {', '.join(options)}"
