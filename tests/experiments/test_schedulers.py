"""The script that compares schedulers: its experiments, and how it counts bands."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from mobilenet_chest.sweep.learning_curves import Curve


def test_studies_of_a_set_differ_in_their_scheduler_alone(script: ModuleType, tmp_path: Path) -> None:
    experiments = [script.experiment(tmp_path, "pneumonia-few", scheduler) for scheduler in script.SCHEDULERS]
    assert [config.study.scheduler for config in experiments] == ["none", "asha", "freeze_thaw"]
    plain = [config.model_copy(update={"name": "", "study": None}) for config in experiments]
    assert plain[0] == plain[1] == plain[2]


def test_scores_within_bands_are_counted(script: ModuleType) -> None:
    """Ten curves of five scores, each cut five times; curves of the model's own form are within its bands."""
    epochs = np.arange(1.0, 6.0)
    generator = np.random.default_rng(0)
    curves = [Curve(generator.random(2), epochs, 0.8 + 0.01 * number - 0.3 / (1 + epochs)) for number in range(10)]
    inside, count = script.coverage(curves, 5)
    assert 5 * 10 <= count <= 5 * 40
    assert inside >= 0.85 * count
