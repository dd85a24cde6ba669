"""The script that measures what earlier studies save: which rows its sets have, and how it counts."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np


def test_a_part_has_as_many_rows_of_both_classes(script: ModuleType) -> None:
    labels = np.array([0, 0, 1, 0, 1, 1, 0, 1])
    images, chosen = script.part(np.arange(8), labels, 2, 4)
    assert images.tolist() == [1, 3, 4, 5]
    assert chosen.tolist() == [0, 0, 1, 1]
    assert chosen.dtype == np.uint8


def test_trials_until_as_good(script: ModuleType) -> None:
    assert script.needed([0.5, 0.9, 0.8], 0.8) == 2
    assert script.needed([0.5, 0.6], 0.8) == 3


def test_a_study_learns_from_the_others_alone(script: ModuleType, tmp_path: Path) -> None:
    config = script.experiment(tmp_path, "nih", "learned", 12)
    assert set(config.study.learn_from) == {f"{name}-random" for name in script.SETS} - {"nih-random"}
    assert config.study.sampler == "tpe"
    assert script.experiment(tmp_path, "nih", "plain", 12).study.learn_from == ()
