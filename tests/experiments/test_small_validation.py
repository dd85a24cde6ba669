"""What few validation rows choose, stressed and clean, judged on the other rows and on held-out corruptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from helpers.experiments import STRESSED
from mlflow import MlflowClient

from mobilenet_chest import train
from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run


def test_the_rows_that_choose_do_not_judge(script: ModuleType) -> None:
    labels = np.array([0, 1] * 20, dtype=np.uint8)
    right, wrong = labels - 0.5, 0.5 - labels
    families = np.stack([right] * 3)
    # the first is best on clean images and wrong on held-out families, the second the other way round
    clean = np.stack([right, np.zeros(40)])
    choosing, held_out = np.stack([families * 0, families]), np.stack([-families, families])
    logits = script.Logits(labels, clean[None], choosing[None], held_out[None])
    assert script.held_out_aucs(logits, 1 / 4, draws=3) == [(1.0, 0.0)]
    (row,) = script.compared(logits, shares=(1 / 4,), draws=3)
    assert (row.metric, row.means) == ("10 rows choose", (1.0, 0.0))
    rows = script.drawn(labels, 1 / 4, 0)
    assert (rows.sum(), labels[rows].sum()) == (10, 5)
    held_out[1][:, rows] = wrong[rows]
    assert script.held_out_aucs(script.Logits(labels, clean[None], choosing[None], held_out[None]), 1 / 4, draws=1) == [
        (1.0, 0.0)
    ]
    # clean images that both order rightly choose neither: the mean of both counts
    tied = script.Logits(labels, np.stack([right, right])[None], choosing[None], np.stack([-families, families])[None])
    assert script.held_out_aucs(tied, 1 / 4, draws=1) == [(1.0, 0.5)]
    assert not np.array_equal(script.drawn(labels, 1 / 4, 0), script.drawn(labels, 1 / 4, 1))


def test_the_logits_are_those_of_the_runs(
    phantom_config: Callable[..., Config], tracking: Path, script: ModuleType
) -> None:
    client, by_seed = MlflowClient(), []
    for seed in (1, 2):
        run_id = str(train(phantom_config(STRESSED | {"seed": seed}), track=True).run_id)
        by_seed.append([script.Training("baseline", metrics_of(get_run(client, run_id)), run_id)])
    logits = script.logits_of(client, by_seed)
    assert logits.choosing.shape == logits.held_out.shape == (2, 1, 5, len(logits.labels))
    for seed, (training,) in enumerate(by_seed):
        stress, held_out = (
            script.mean_auc(logits.labels, part[seed, 0]) for part in (logits.choosing, logits.held_out)
        )
        assert training.metrics["stress_auc_mean"] == stress
        assert training.metrics["heldout_stress_auc_mean"] == held_out
        assert training.metrics["val_auc"] == auc(logits.labels, logits.clean[seed, 0])
