"""The predictions of a split: what ``predictions/*.parquet`` of a run holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
"""Classes of n images, 0 or 1, (n,)."""

Probabilities = NDArray[np.float64]
"""Probabilities of class 1 of n images, (n,)."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row for each image of a split.

    Attributes:
        row: int64 (n,), row number in the file.
        label: uint8 (n,), 0 or 1.
        probability: float64 (n,), of class 1.
        probability_tta: float64 (n,), mean of the probabilities of the image and its mirror.
        patient: Whose image it is, text (n,), empty where that is not known; ``None`` where it is of no image.
        fold: int64 (n,), the fold of data that the image was held out in, where each was scored by the model of its
            fold and figures are means over the folds; else ``None``.
    """

    row: NDArray[np.int64]
    label: NDArray[np.uint8]
    probability: NDArray[np.float64]
    probability_tta: NDArray[np.float64]
    patient: NDArray[np.str_] | None = None
    fold: NDArray[np.int64] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """Those there are, by name: what ``predictions/*.parquet`` holds."""
        return {name: column for name, column in vars(self).items() if column is not None}

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Predictions:
        """From what :meth:`columns` has, as a file gives it back.

        Raises:
            KeyError: One is missing.
        """
        found = {name: columns[name] for name in ("row", "label", "probability", "probability_tta")}
        found |= {name: columns[name].astype(kind) for name, kind in OPTIONAL.items() if name in columns}
        return cls(**found)


OPTIONAL: dict[str, type[np.generic]] = {"patient": np.str_, "fold": np.int64}


def concatenate(predictions: Sequence[Predictions]) -> Predictions:
    """Predictions of different rows, in the order of the rows."""
    parts = [one.columns() for one in predictions]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["row"], kind="stable")
    return Predictions(**{name: column[order] for name, column in columns.items()})
