"""The columns of predictions, there and back, and predictions of different rows as one."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.evaluation.predictions import Predictions, concatenate


def predictions(rows: list[int], **columns: np.ndarray) -> Predictions:
    row = np.array(rows)
    return Predictions(row, (row % 2).astype(np.uint8), row / 10, row / 20, **columns)


def test_columns_there_and_back() -> None:
    plain = predictions([3, 1])
    assert list(plain.columns()) == ["row", "label", "probability", "probability_tta"]
    everything = predictions([3, 1], patient=np.array(["a", ""]), fold=np.array([1, 0]))
    again = Predictions.from_columns(everything.columns())
    assert {name: column.tolist() for name, column in again.columns().items()} == {
        "row": [3, 1], "label": [1, 1], "probability": [0.3, 0.1], "probability_tta": [0.15, 0.05],
        "patient": ["a", ""], "fold": [1, 0],
    }  # fmt: skip


def test_columns_of_a_file_get_their_types() -> None:
    columns = predictions([0, 1]).columns() | {"patient": np.array(["a", "b"], object), "fold": np.array([0.0, 1.0])}
    read = Predictions.from_columns(columns)
    assert read.patient is not None
    assert read.fold is not None
    assert (read.patient.dtype.kind, read.fold.dtype) == ("U", np.int64)


@pytest.mark.parametrize("name", ["row", "label", "probability", "probability_tta"])
def test_a_column_that_is_missing_is_named(name: str) -> None:
    columns = {key: column for key, column in predictions([0, 1]).columns().items() if key != name}
    with pytest.raises(KeyError, match=f"'{name}'"):
        Predictions.from_columns(columns)


def test_concatenated_predictions_are_in_the_order_of_rows() -> None:
    folds = [predictions([4, 0], fold=np.array([0, 0])), predictions([2, 7], fold=np.array([1, 1]))]
    joined = concatenate(folds)
    assert joined.row.tolist() == [0, 2, 4, 7]
    assert joined.label.tolist() == [0, 0, 0, 1]
    assert joined.probability.tolist() == [0.0, 0.2, 0.4, 0.7]
    assert joined.fold is not None
    assert joined.fold.tolist() == [0, 1, 0, 1]
    assert joined.patient is None


def test_predictions_of_some_rows_keep_every_column() -> None:
    chosen = predictions([3, 1, 8], patient=np.array(["a", "b", ""])).of_rows(np.array([8, 3, 5]))
    assert {name: column.tolist() for name, column in chosen.columns().items()} == {
        "row": [3, 8], "label": [1, 0], "probability": [0.3, 0.8], "probability_tta": [0.15, 0.4], "patient": ["a", ""],
    }  # fmt: skip
