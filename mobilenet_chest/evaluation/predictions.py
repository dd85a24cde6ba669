"""The predictions of a split: the columns of a run's ``predictions/*.parquet``."""

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

OPTIONAL: dict[str, type[np.generic]] = {"patient": np.str_, "fold": np.int64}
"""Columns that not every file has, with their types."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of n images of a split.

    Attributes:
        row: int64 (n,), row number in the data file.
        label: uint8 (n,), 0 or 1.
        probability: float64 (n,), of class 1.
        probability_tta: float64 (n,), mean of the probabilities of the image and of its mirror image.
        patient: Text (n,), the patient of each image, empty where unknown; ``None`` if it is unknown of all.
        fold: int64 (n,), the fold that held the image out, where each image was scored by the model of its fold and
            metrics are means over the folds; else ``None``.
    """

    row: NDArray[np.int64]
    label: NDArray[np.uint8]
    probability: NDArray[np.float64]
    probability_tta: NDArray[np.float64]
    patient: NDArray[np.str_] | None = None
    fold: NDArray[np.int64] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that are known, by name."""
        return {name: column for name, column in vars(self).items() if column is not None}

    def of_rows(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the predictions of those images whose row numbers are among ``rows``."""
        chosen = np.isin(self.row, rows)
        return Predictions(**{name: column[chosen] for name, column in self.columns().items()})

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Predictions:
        """Return predictions from the columns of a file.

        Raises:
            KeyError: A column other than those of :data:`OPTIONAL` is missing.
        """
        required = {name: columns[name] for name in ("row", "label", "probability", "probability_tta")}
        optional = {name: columns[name].astype(kind) for name, kind in OPTIONAL.items() if name in columns}
        return cls(**required, **optional)


def concatenate(predictions: Sequence[Predictions]) -> Predictions:
    """Return predictions of different rows as one, in the order of the rows."""
    parts = [part.columns() for part in predictions]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["row"], kind="stable")
    return Predictions(**{name: column[order] for name, column in columns.items()})
