"""Models that judge by brightness alone, and their tables of predictions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.registry.predict import predict_files

DARK, BRIGHT = 96, 160
COLUMNS = ["source", "row", "probability", "label_name", "label"]


class Brightness(nn.Module):
    """Logit 0 at a grey level of 128, and one more or less for 32 levels, by the last channel."""

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, -1].float().mean((1, 2)) - 128) / 32


def probability(level: float) -> float:
    return 1 / (1 + math.exp(-(level - 128) / 32))


def flat(*levels: int, shape: tuple[int, ...] = (20, 24)) -> NDArray[np.uint8]:
    return np.stack([np.full(shape, level, np.uint8) for level in levels])


def predicted(model: str, source: Path, out: str = "out.csv") -> pd.DataFrame:
    path = source.parent / out
    count = predict_files(model, source, path).rows
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert list(table) == COLUMNS
    assert len(table) == count
    return table


def assert_dark_then_bright(table: pd.DataFrame, tolerance: float = 1e-6) -> None:
    assert table["probability"].tolist() == pytest.approx([probability(DARK), probability(BRIGHT)], abs=tolerance)
    assert table["label_name"].tolist() == ["dark", "bright"]
    assert table["label"].tolist() == [0, 1]
