"""Every error this package raises on purpose, in one tree.

::

    MobilenetChestError               exit code 1: the work failed
    ├── TrainingDiverged              loss or logits stopped being finite
    ├── SweepFailed                   no trial of a sweep could be finished
    ├── WriteFailed                   a disk is full, or a folder cannot be written any more
    ├── TrackingLost                  MLflow went away, or said no, in the midst of the work
    ├── NotDelivered                  what a run was told waits on the disk for a tracking store that is away
    ├── OwnershipLost                 a run was given to another process while this one was stopped
    ├── UserError                     exit code 2: the input is wrong; nothing was started
    │   ├── ConfigError               experiment file or key=value override
    │   ├── CacheError                the cache of features, stage-1 results and read data cannot be used
    │   ├── DataError                 data file, dataset name, classes, rows
    │   ├── WeightsError              pretrained weights that cannot be had
    │   ├── MissingExtraError         an optional package that is not installed
    │   ├── TrackingError             MLflow cannot be reached or written, no such run
    │   ├── StudyError                Optuna storage, or a study that does not fit the experiment
    │   ├── SealedError               the test split was opened for the study before
    │   └── ClusterError              a Ray cluster that cannot be reached, or cannot run the sweep
    └── PromotionRefused              exit code 3: a gate said no

The command line prints ``str(error)`` and leaves with ``error.exit_code``: messages name the bad value, the
allowed ones and the next step, in one line (a :class:`ConfigError` has one line for each problem).
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


class SweepFailed(MobilenetChestError):
    """A sweep ended without a single finished trial, or its workers died."""


class WriteFailed(MobilenetChestError):
    """What a training leaves cannot be written, in the midst of it; what it had left before is whole."""


class TrackingLost(MobilenetChestError):
    """The tracking store answered at first, and then did not any more, or said no to what it was told."""


class NotDelivered(MobilenetChestError):
    """The work is done, but the tracking store was away: what it has not got waits on the disk, to be delivered."""


class OwnershipLost(MobilenetChestError):
    """What this process was writing has been given to another one: nothing more may be written into it from here."""


class UserError(MobilenetChestError):
    """What was asked for cannot be done as asked; nothing has been started."""

    exit_code = 2


class ConfigError(UserError):
    """One or more things wrong with an experiment file or its overrides.

    Args:
        problems: One line each, all of them, so that a file is mended in one go.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CacheError(UserError):
    """The cache's folder cannot be written, or its size is no number."""


class DataError(UserError):
    """A data file or a choice of rows that cannot be used."""


class WeightsError(UserError):
    """Pretrained weights that are not on this machine and cannot be downloaded, or do not fit the model."""


class MissingExtraError(UserError):
    """An optional dependency is missing.

    Args:
        what: What was asked for.
        extra: The extra of this package that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed; type: pip install -e '.[{extra}]'")


class TrackingError(UserError):
    """The tracking store cannot be reached or written, or holds no such run, study or experiment."""


class StudyError(UserError):
    """The study's storage cannot be used, or the stored study does not fit the experiment."""


class SealedError(UserError):
    """The test split was opened for the same study before, and a further opening was not asked for."""


class ClusterError(UserError):
    """A Ray cluster cannot be reached, has no room for a worker, or cannot share what the sweep would keep in files."""


class PromotionRefused(MobilenetChestError):
    """A gate refused the promotion; aliases and versions are as they were.

    Args:
        reasons: Every gate that failed, a sentence each.
        gates: Verdicts of all gates of the experiment, as :class:`mobilenet_chest.registry.gates.GateResult`.
    """

    exit_code = 3

    def __init__(self, reasons: Sequence[str], gates: Sequence[Any] = ()) -> None:
        self.reasons, self.gates = tuple(reasons), tuple(gates)
        super().__init__("not promoted: " + "; ".join(self.reasons))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the closest allowed name, or an empty string when none is close."""
    by_folded = {str(option).casefold(): str(option) for option in allowed}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean '{by_folded[close[0]]}'?" if close else ""
